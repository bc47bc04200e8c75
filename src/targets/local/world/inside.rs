//! `__inside STATE`: the world's main process. Starts the control plane and runs as long as all
//! of it does.

use std::{
    convert::Infallible,
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use futures::future::select_all;
use kube::Client;
use tokio::task::JoinError;

use super::{
    api::{self, NotReady},
    daemons::{self, Daemon, DaemonEnded},
    error::RoleError,
    first_pods, network, pki,
    record::{self, RecordError},
    relay,
    spec::{Origin, WorldSpec},
};
use crate::{
    errors::chain,
    targets::local::{
        pods::{self, ServeError},
        snapshot::archive::{self, ArchiveError},
    },
    timeouts,
};

/// Why a world ends on its own.
#[derive(Debug, thiserror::Error)]
enum InsideError {
    #[error(transparent)]
    Role(#[from] RoleError),
    #[error(transparent)]
    Daemon(#[from] DaemonEnded),
    #[error("the API server was not ready within {:?}; last answer: {}", .0.limit, .0.last)]
    ApiServer(NotReady),
    #[error("cannot use the snapshot")]
    Snapshot(#[from] ArchiveError),
    #[error("cannot record a snapshot")]
    Record(#[from] RecordError),
    #[error("the relay to the API server stopped")]
    Door(#[source] io::Error),
    #[error("the relay to the API server stopped")]
    DoorTask(#[source] JoinError),
    #[error(transparent)]
    Node(#[from] ServeError),
    #[error("the node stopped")]
    NodeStopped,
}

/// Entry point of the main process.
pub fn main(args: &[String]) -> ExitCode {
    let Some(state) = args.first().map(PathBuf::from) else {
        return ExitCode::from(2);
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    log_to_stderr();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(live(&state)),
        Err(error) => Err(RoleError::io("start the runtime")(error).into()),
    };
    let Err(error) = ended;
    let message = chain(&error);
    let _ = std::fs::write(state.join("failure"), &message);
    eprintln!("{message}");
    ExitCode::FAILURE
}

fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| "warn,kube_client=off,meshproof=info".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
}

async fn live(state: &Path) -> Result<Infallible, InsideError> {
    let spec = WorldSpec::read(state).map_err(RoleError::io("read the world's spec"))?;
    timeouts::set_scale(spec.timeout_scale);
    std::fs::create_dir_all(spec.logs())
        .map_err(RoleError::io(format!("create {}", spec.logs().display())))?;
    pki::make(&spec)?;
    network::set_up().await?;
    if let Err(error) = network::route_api_server().await {
        let error = chain(&error);
        tracing::warn!(
            error,
            "pods reach the API server only when kube-proxy has started"
        );
    }
    if let Origin::Snapshot(file) = &spec.origin {
        archive::unpack(file, &spec.store())?;
    }
    let mut running = vec![daemons::etcd(&spec)?, daemons::api_server(&spec)?];
    let listener = relay::inherited().map_err(RoleError::io("take the listening socket"))?;
    let relay = tokio::spawn(relay::serve(listener));
    let client = match &spec.origin {
        Origin::Installed | Origin::Snapshot(_) => {
            api_client(&spec, &spec.origin, &mut running).await?
        }
        Origin::Recorded(file) => recorded(&spec, file, &mut running).await?,
    };
    tokio::spawn(first_pods(spec.clone(), client.clone()));
    running.push(daemons::controller_manager(&spec)?);
    running.push(daemons::proxy(&spec)?);
    running.push(daemons::kubelet_streams(&spec)?);
    let node = pods::serve(&spec, client);
    tokio::select! {
        ended = any_end(&mut running) => Err(ended.into()),
        ended = relay => Err(match ended {
            Ok(error) => InsideError::Door(error),
            Err(panic) => InsideError::DoorTask(panic),
        }),
        ended = node => Err(ended.err().map_or(InsideError::NodeStopped, InsideError::Node)),
    }
}

async fn any_end(running: &mut [Daemon]) -> DaemonEnded {
    let ends: Vec<_> = running
        .iter_mut()
        .map(|daemon| Box::pin(daemon.ended()))
        .collect();
    select_all(ends).await.0
}

/// A client of the API server, as soon as the server answers.
async fn api_client(
    spec: &WorldSpec,
    origin: &Origin,
    running: &mut [Daemon],
) -> Result<Client, InsideError> {
    let kubeconfig = spec.kubeconfig_inside();
    tokio::select! {
        ended = any_end(running) => Err(ended.into()),
        ready = api::ready(&kubeconfig, origin) => ready.map_err(InsideError::ApiServer),
    }
}

/// Creates the first pods, unless the harness installs what leads to them.
async fn first_pods(spec: WorldSpec, client: Client) {
    if spec.origin == Origin::Installed {
        return;
    }
    let created = match std::fs::read_to_string(spec.pki().join("ca.crt")) {
        Ok(authority) => first_pods::create(&client, &authority).await,
        Err(error) => Err(kube::Error::Service(error.into())),
    };
    if let Err(error) = created {
        tracing::warn!(error = %chain(&error), "the first pods are left to the controller manager");
    }
}

/// Packs the store into `file` as soon as everything is installed, and starts the control plane
/// again from it.
async fn recorded(
    spec: &WorldSpec,
    file: &Path,
    running: &mut Vec<Daemon>,
) -> Result<Client, InsideError> {
    let client = api_client(spec, &spec.origin, running).await?;
    running.push(daemons::controller_manager(spec)?);
    tokio::select! {
        ended = any_end(running) => return Err(ended.into()),
        installed = record::installed(spec, &client) => installed?,
    }
    let mut daemons = running.drain(..).rev();
    if let Some(controllers) = daemons.next() {
        controllers.kill().await;
    }
    record::forget_pods(&client).await?;
    if let Some(api_server) = daemons.next() {
        api_server.kill().await;
    }
    if let Some(etcd) = daemons.next() {
        record::pack(spec, etcd, file).await?;
    }
    drop(daemons);
    running.extend([daemons::etcd(spec)?, daemons::api_server(spec)?]);
    let origin = Origin::Snapshot(file.to_owned());
    let client = api_client(spec, &origin, running).await?;
    record::restarted(spec).map_err(RoleError::io("report that the control plane runs"))?;
    Ok(client)
}
