//! Brings the local target up, in phases: from binaries on disk to a mesh that is ready.
//!
//! The first time, everything is installed through the API server, and a snapshot is recorded
//! ([`super::snapshot`]). With the same inputs, the next target starts from it. A snapshot
//! that does not lead to a ready mesh is removed, and the target is brought up without one.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use kube::Client;
use serde_json::Value;
use tokio::time::timeout;

use super::{
    limits,
    snapshot::{
        cache::{Making, SnapshotCache},
        key::Inputs,
    },
    world::{
        api::{self, NotReady},
        launch::{World, WorldError, WorldOptions},
        spec::{Origin, WorldSpec},
    },
};
use crate::{
    cluster::{
        client::{self, ClientError},
        object::{self, ObjectError},
        pod_watch::PodWatch,
        pods,
    },
    errors::{Classified, ErrorClass, chain},
    event::phases::Phases,
    fixture::overrides::WorkloadOverrides,
    mesh::istio::{
        install::{self, InstallError, Installation},
        istioctl::Istioctl,
        profile::Profile,
        propagation::{gateway_api, marker},
    },
    output,
    targets::access::TargetAccess,
    timeouts::timeouts,
    toolchain::stock,
    transport::PodDialer,
    wait::{self, Look},
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
    #[error("the mesh was not ready from its snapshot within {limit:?}")]
    Snapshot { limit: Duration },
}

impl Classified for BringUpError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::World(error) => error.class(),
            Self::Kubeconfig(error) => error.class(),
            Self::Object(error) => error.class(),
            Self::Install(error) => error.class(),
            Self::ApiServer(_) | Self::Dns { .. } | Self::Snapshot { .. } => ErrorClass::Mesh,
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
    /// Starts a world with a mesh in it: from a snapshot if there is one for these options. On
    /// failure, everything is removed again.
    ///
    /// # Errors
    /// [`BringUpError`] of the phase that failed.
    pub async fn bring_up(options: WorldOptions, phases: &Phases) -> Result<Self, BringUpError> {
        let choice = Choice::of(&options);
        let origin = choice.origin();
        let done = Self::start(options.clone(), origin, phases).await;
        match (choice, done) {
            (Choice::Use { cache, key, .. }, Ok(local)) => {
                cache.note_use(&key);
                Ok(local)
            }
            (Choice::Use { cache, key, file }, Err(error)) if is_of_its_contents(&error) => {
                cache.discard(&key);
                output::say(&format!(
                    "the snapshot {} was removed, because no mesh became ready from it: {}",
                    file.display(),
                    chain(&error)
                ));
                Self::start(options, Origin::Installed, phases).await
            }
            (Choice::Make(making), Ok(local)) => {
                if let Err(error) = making.publish() {
                    output::say(&format!("no snapshot was kept: {}", chain(&error)));
                }
                Ok(local)
            }
            (Choice::Make(making), Err(error)) if is_of_recording(&error) => {
                drop(making);
                output::say(&format!("no snapshot was recorded: {}", chain(&error)));
                Self::start(options, Origin::Installed, phases).await
            }
            (_, done) => done,
        }
    }

    async fn start(
        options: WorldOptions,
        origin: Origin,
        phases: &Phases,
    ) -> Result<Self, BringUpError> {
        let crds = options.gateway_api.clone();
        let mut world = World::launch(options, origin)?;
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
            state: Some(spec.state.clone()),
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

/// Whether a bring-up from a snapshot failed in a way that another one may not.
fn is_of_its_contents(error: &BringUpError) -> bool {
    match error {
        BringUpError::World(WorldError::Ended(_)) => true,
        BringUpError::World(_) => false,
        _ => true,
    }
}

/// Whether a bring-up that records a snapshot may have failed because of the recording.
fn is_of_recording(error: &BringUpError) -> bool {
    matches!(
        error,
        BringUpError::World(WorldError::Ended(_)) | BringUpError::Snapshot { .. }
    )
}

/// What a bring-up does with snapshots.
enum Choice {
    /// They are switched off, or cannot be used here.
    None,
    Use {
        cache: SnapshotCache,
        key: String,
        file: PathBuf,
    },
    Make(Making),
}

impl Choice {
    /// A problem with the cache is only logged: no target depends on it.
    fn of(options: &WorldOptions) -> Self {
        let Some(home) = &options.cache else {
            return Self::None;
        };
        let inputs = Inputs {
            programs: Some(&options.bins),
            gateway_api: Some(&options.gateway_api),
            manifests: manifests(),
        };
        let found = match (SnapshotCache::within(home), inputs.key()) {
            (Ok(cache), Ok(key)) => match cache.find(&key) {
                Some(file) => return Self::Use { cache, key, file },
                None => cache.claim(&key).map_err(|error| chain(&error)),
            },
            (Err(error), _) => Err(chain(&error)),
            (_, Err(error)) => Err(error.to_string()),
        };
        match found {
            Ok(Some(making)) => Self::Make(making),
            Ok(None) => Self::None,
            Err(error) => {
                tracing::warn!(error, "snapshots of local targets cannot be used");
                Self::None
            }
        }
    }

    fn origin(&self) -> Origin {
        match self {
            Self::None => Origin::Installed,
            Self::Use { file, .. } => Origin::Snapshot(file.clone()),
            Self::Make(making) => Origin::Recorded(making.partial()),
        }
    }
}

/// How Istio is installed in a local target.
const INSTALLATION: Installation<'_> = Installation {
    hub: Some(stock::HUB),
    tag: Some(stock::TAG),
    profile: Profile::Stock,
};

/// Everything besides programs and CRDs that determines what is installed.
fn manifests() -> Vec<String> {
    let own = [
        COREDNS.to_owned(),
        gateway_api::shared().to_string(),
        marker::collector().to_string(),
    ];
    own.into_iter().chain(INSTALLATION.inputs()).collect()
}

async fn fill(spec: WorldSpec, crds: &Path, phases: &Phases) -> Result<Client, BringUpError> {
    match &spec.origin {
        Origin::Installed => {
            let (client, objects) = prepared(&spec, phases).await?;
            let system = PodWatch::start(&client, "");
            let (dns, gateway_api, mesh) = tokio::join!(
                phases.time("DNS", dns(&client, &system)),
                phases.time("Gateway API", gateway_api::install(&client, crds)),
                phases.time("Istio", install::install(&client, &objects, &system)),
            );
            dns?;
            gateway_api?;
            mesh?;
            object::install_once_served(&client, &marker::collector(), None).await?;
            Ok(client)
        }
        Origin::Recorded(_) => {
            let (client, objects) = prepared(&spec, phases).await?;
            let (dns, gateway_api, mesh) = tokio::join!(
                apply_dns(&client),
                phases.time("Gateway API", gateway_api::install(&client, crds)),
                phases.time("Istio's objects", install::apply(&client, &objects)),
            );
            dns?;
            gateway_api?;
            mesh?;
            object::install_once_served(&client, &marker::collector(), None).await?;
            phases.time("snapshot", recorded(&spec)).await?;
            mesh_of_snapshot(&spec, phases).await
        }
        Origin::Snapshot(_) => {
            let limit = timeouts().target.snapshot;
            let ready = timeout(limit, mesh_of_snapshot(&spec, phases));
            let ready = async { ready.await.map_err(|_| BringUpError::Snapshot { limit })? };
            phases.time("mesh from its snapshot", ready).await
        }
    }
}

/// A client of the new API server, and the objects of Istio's installation.
async fn prepared(spec: &WorldSpec, phases: &Phases) -> Result<(Client, Vec<Value>), BringUpError> {
    let istioctl = spec.bins.join("istioctl");
    let (client, objects) = tokio::join!(
        phases.time("etcd and API server", api_server(spec)),
        INSTALLATION.manifests(&istioctl),
    );
    Ok((client?, objects?))
}

/// Waits for a mesh whose objects are all there.
async fn mesh_of_snapshot(spec: &WorldSpec, phases: &Phases) -> Result<Client, BringUpError> {
    let client = phases.time("etcd and API server", api_server(spec)).await?;
    let system = PodWatch::start(&client, "");
    let (dns, mesh) = tokio::join!(
        phases.time("DNS", await_dns(&client, &system)),
        phases.time("Istio", install::await_ready(&client, &system)),
    );
    dns?;
    mesh?;
    Ok(client)
}

/// Lets the world record its snapshot, and waits until it has started again from it.
async fn recorded(spec: &WorldSpec) -> Result<(), BringUpError> {
    let path = spec.installed();
    std::fs::write(&path, "").map_err(|source| WorldError::State {
        path: path.clone(),
        source,
    })?;
    let limit = timeouts().target.api_server;
    let gone = wait::until(limit, async |_| {
        Ok::<_, BringUpError>(match path.exists() {
            true => Look::Unmet(()),
            false => Look::Met(()),
        })
    });
    gone.await
        .map_err(|error| error.or_late(|_| BringUpError::Snapshot { limit }))
}

async fn api_server(spec: &WorldSpec) -> Result<Client, BringUpError> {
    Ok(api::ready(&spec.kubeconfig(), &spec.origin).await?)
}

async fn dns(client: &Client, watch: &PodWatch) -> Result<(), BringUpError> {
    apply_dns(client).await?;
    await_dns(client, watch).await
}

async fn apply_dns(client: &Client) -> Result<(), BringUpError> {
    for object in &install::documents(COREDNS)? {
        object::install(client, object, None).await?;
    }
    Ok(())
}

async fn await_dns(client: &Client, watch: &PodWatch) -> Result<(), BringUpError> {
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
