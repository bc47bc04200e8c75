//! Brings the local target up, in phases: from binaries on disk to a mesh that is ready.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use kube::Client;

use super::{
    limits,
    world::{
        api::{self, NotReady},
        launch::{World, WorldError, WorldOptions},
    },
};
use crate::{
    cluster::{
        client::{self, ClientError},
        object::{self, ObjectError},
        pods::{self, PodWatch},
    },
    errors::{Classified, ErrorClass},
    event::phases::Phases,
    fixture::overrides::WorkloadOverrides,
    mesh::istio::{
        install::{self, InstallError, Installation},
        istioctl::Istioctl,
        profile::Profile,
        propagation::{gateway_api, marker},
    },
    targets::access::TargetAccess,
    timeouts::timeouts,
    toolchain::stock,
    transport::PodDialer,
};

/// Manifests of the world's DNS.
const COREDNS: &str = include_str!("../../../fixtures/mesh/coredns.yaml");

/// An error bringing up the local target.
#[derive(Debug, thiserror::Error)]
pub enum BringUpError {
    #[error(transparent)]
    World(#[from] WorldError),
    #[error("cannot create a client for the API server")]
    Kubeconfig(#[source] ClientError),
    #[error(transparent)]
    ApiServer(#[from] NotReady),
    #[error(transparent)]
    Install(#[from] InstallError),
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error("the cluster's DNS was not ready within {limit:?}:\n{last}")]
    Dns { limit: Duration, last: String },
}

impl Classified for BringUpError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::World(error) => error.class(),
            Self::Kubeconfig(error) => error.class(),
            Self::Object(error) => error.class(),
            Self::Install(error) => error.class(),
            Self::ApiServer(_) | Self::Dns { .. } => ErrorClass::Mesh,
        }
    }
}

/// A local target that is up.
pub struct Local {
    pub world: World,
    pub client: Client,
    pub dial: PodDialer,
}

impl Local {
    /// Starts a world and installs the mesh in it. On failure, everything is removed again.
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
                dial: PodDialer::node(world.spec.node_socket()),
                client,
                world,
            }),
            Err(error) => {
                let _ = world.shut_down().await;
                Err(error)
            }
        }
    }

    /// What a run needs to use this target.
    pub fn access(&self) -> TargetAccess {
        let spec = &self.world.spec;
        let mut programs = BTreeSet::from(["grpcurl".to_owned()]);
        // Only if there is a wheel for the host's Python.
        if spec.grpcio.is_some() {
            programs.insert("grpcio".to_owned());
        }
        TargetAccess {
            client: self.client.clone(),
            dial: self.dial.clone(),
            istioctl: Some(Istioctl {
                program: spec.bins.join("istioctl"),
                kubeconfig: Some(spec.kubeconfig()),
                context: None,
            }),
            versions: spec.versions.clone(),
            programs,
            own_mesh: true,
            secrets: keys(&spec.pki()),
            overrides: WorkloadOverrides::default(),
        }
    }

    /// Attaches to a kept world.
    ///
    /// # Errors
    /// If no world of that name is up, or its API server does not answer.
    pub async fn attach(name: &str) -> Result<Self, BringUpError> {
        limits::for_a_run().map_err(WorldError::from)?;
        let world = World::find(name)?;
        let client = client::of(&world.spec.kubeconfig(), None).await;
        let client = client.map_err(BringUpError::Kubeconfig)?;
        Ok(Self {
            dial: PodDialer::node(world.spec.node_socket()),
            client,
            world,
        })
    }
}

/// Private keys of a world.
fn keys(pki: &Path) -> Vec<String> {
    let files = std::fs::read_dir(pki).into_iter().flatten().flatten();
    files
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "key"))
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .collect()
}

async fn fill(
    spec: super::world::spec::WorldSpec,
    crds: &Path,
    phases: &Phases,
) -> Result<Client, BringUpError> {
    let installation = Installation {
        hub: Some(stock::HUB),
        tag: Some(stock::TAG),
        profile: Profile::Stock,
    };
    let istioctl = spec.bins.join("istioctl");
    let (client, objects) = tokio::join!(
        phases.time("etcd and API server", api_server(spec.kubeconfig())),
        installation.manifests(&istioctl),
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
    object::install(&client, &marker::collector(), None).await?;
    Ok(client)
}

async fn api_server(kubeconfig: PathBuf) -> Result<Client, BringUpError> {
    Ok(api::ready(&kubeconfig).await?)
}

async fn dns(client: &Client, watch: &PodWatch) -> Result<(), BringUpError> {
    let objects = install::documents(COREDNS)?;
    for object in &objects {
        object::install(client, object, None).await?;
    }
    let is_dns =
        |pod: &&k8s_openapi::api::core::v1::Pod| pods::label(pod, "k8s-app") == Some("kube-dns");
    let ready = |pods: &[_]| pods.iter().filter(is_dns).any(pods::is_ready);
    let limit = timeouts().target.dns;
    match watch.until("kube-system", limit, ready).await {
        Ok(_) => Ok(()),
        Err(last) => {
            let last: Vec<_> = last.into_iter().filter(|pod| is_dns(&pod)).collect();
            Err(BringUpError::Dns {
                limit,
                last: pods::describe(client, &last).await,
            })
        }
    }
}
