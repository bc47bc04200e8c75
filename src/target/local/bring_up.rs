//! From binaries on disk to a mesh that takes work: the phases of the local target.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use kube::Client;

use super::world::{
    api,
    launch::{World, WorldError, WorldOptions},
};
use crate::{
    cluster::{
        object::{self, ObjectError},
        pods::{self, PodWatch},
    },
    mesh::istio::{
        gateway_api,
        install::{self, InstallError},
        marker,
    },
    run::{phases::Phases, telemetry::Istioctl},
    target::Dial,
};

const DNS_DEADLINE: Duration = Duration::from_secs(60);

/// DNS of the world.
const COREDNS: &str = include_str!("../../../fixtures/mesh/coredns.yaml");
/// Install values of the local profile, unless the user gives others.
pub const ISTIO_VALUES: &str = include_str!("../../../fixtures/mesh/istio-local.yaml");

/// Why the target is not up.
#[derive(Debug, thiserror::Error)]
pub enum BringUpError {
    #[error(transparent)]
    World(#[from] WorldError),
    #[error("the API server's address cannot be used: {0}")]
    Kubeconfig(String),
    #[error("the API server did not answer within {limit:?}; last answer: {last}")]
    ApiServer { limit: Duration, last: String },
    #[error(transparent)]
    Install(#[from] InstallError),
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error("the cluster's DNS was not ready within {limit:?}:\n{last}")]
    Dns { limit: Duration, last: String },
    #[error("cannot write {path}: {source}")]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
}

/// A local target that is up.
pub struct Local {
    pub world: World,
    pub client: Client,
    pub dial: Dial,
}

impl Local {
    /// Starts a world and installs the mesh in it. When that fails, nothing is left.
    ///
    /// # Errors
    /// [`BringUpError`] of the phase that failed.
    pub async fn bring_up(options: WorldOptions, phases: &Phases) -> Result<Self, BringUpError> {
        let crds = options.gateway_api.clone();
        let mut world = World::launch(options)?;
        let done = tokio::select! {
            done = fill(world.spec.clone(), &crds, phases) => done,
            ended = world.ended() => Err(ended.into()),
        };
        match done {
            Ok(client) => Ok(Self {
                dial: Dial::Node(world.spec.node_socket()),
                client,
                world,
            }),
            Err(error) => {
                let _ = world.shut_down().await;
                Err(error)
            }
        }
    }

    /// The mesh's own tool, as a person with the kubeconfig runs it.
    pub fn istioctl(&self) -> Istioctl {
        Istioctl {
            program: self.world.spec.bins.join("istioctl"),
            kubeconfig: self.world.spec.kubeconfig(),
        }
    }

    /// Uses a kept world.
    ///
    /// # Errors
    /// When none of that name is up, or its API server does not answer.
    pub async fn attach(name: &str) -> Result<Self, BringUpError> {
        let world = World::find(name)?;
        let client = api::client(&world.spec.kubeconfig()).await;
        let client = client.map_err(BringUpError::Kubeconfig)?;
        Ok(Self {
            dial: Dial::Node(world.spec.node_socket()),
            client,
            world,
        })
    }
}

async fn fill(
    spec: super::world::spec::WorldSpec,
    crds: &Path,
    phases: &Phases,
) -> Result<Client, BringUpError> {
    let values = spec.state.join("istio-values.yaml");
    std::fs::write(&values, ISTIO_VALUES).map_err(|source| BringUpError::Write {
        path: values.clone(),
        source,
    })?;
    let istioctl = spec.bins.join("istioctl");
    let (client, objects) = tokio::join!(
        phases.time("etcd and API server", api_server(spec.kubeconfig())),
        install::manifests(&istioctl, &values),
    );
    let (client, objects) = (client?, objects?);
    let system = PodWatch::start(&client, "");
    let (dns, gateway_api, mesh) = tokio::join!(
        phases.time("DNS", dns(&client, &system)),
        phases.time("Gateway API", gateway_api::install(&client, crds)),
        phases.time("Istio", install::install(&client, &objects, &system)),
    );
    dns?;
    gateway_api?;
    mesh?;
    for entry in [marker::gateway(), marker::collector()] {
        object::apply(&client, &entry, None).await?;
    }
    Ok(client)
}

async fn api_server(kubeconfig: PathBuf) -> Result<Client, BringUpError> {
    let ready = api::ready(&kubeconfig).await;
    ready.map_err(|last| BringUpError::ApiServer {
        limit: api::DEADLINE,
        last,
    })
}

async fn dns(client: &Client, watch: &PodWatch) -> Result<(), BringUpError> {
    let objects = install::documents(COREDNS)?;
    for object in &objects {
        object::apply(client, object, None).await?;
    }
    let is_dns =
        |pod: &&k8s_openapi::api::core::v1::Pod| pods::label(pod, "k8s-app") == Some("kube-dns");
    let ready = |pods: &[_]| pods.iter().filter(is_dns).any(pods::is_ready);
    match watch.until("kube-system", DNS_DEADLINE, ready).await {
        Ok(_) => Ok(()),
        Err(last) => {
            let last: Vec<_> = last.into_iter().filter(|pod| is_dns(&pod)).collect();
            Err(BringUpError::Dns {
                limit: DNS_DEADLINE,
                last: pods::describe(client, &last).await,
            })
        }
    }
}
