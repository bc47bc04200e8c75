//! `__inside STATE`: the world's main process. Brings the control plane up and lives as long as all of it does.

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    process::ExitCode,
};

use futures::future::select_all;
use kube::Client;

use super::{
    api,
    daemons::{self, Daemon},
    network, pki, relay,
    spec::WorldSpec,
};
use crate::targets::local::pods;

/// Entry of the main process.
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
        Err(error) => Err(format!("cannot start the runtime: {error}")),
    };
    let Err(words) = ended;
    let _ = std::fs::write(state.join("failure"), &words);
    eprintln!("{words}");
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

async fn live(state: &Path) -> Result<Infallible, String> {
    let spec =
        WorldSpec::read(state).map_err(|error| format!("cannot read the world's spec: {error}"))?;
    std::fs::create_dir_all(spec.logs())
        .map_err(|error| format!("cannot create {}: {error}", spec.logs().display()))?;
    pki::make(&spec)?;
    network::set_up().await?;
    let mut running = vec![daemons::etcd(&spec)?, daemons::api_server(&spec)?];
    let listener =
        relay::inherited().map_err(|error| format!("cannot take the listening socket: {error}"))?;
    let relay = tokio::spawn(relay::serve(listener));
    let client = api_client(&spec, &mut running).await?;
    running.push(daemons::controller_manager(&spec)?);
    running.push(daemons::proxy(&spec)?);
    running.push(daemons::kubelet_streams(&spec)?);
    let node = pods::serve(&spec, client);
    tokio::select! {
        words = any_end(&mut running) => Err(words),
        ended = relay => Err(match ended {
            Ok(error) => format!("the door to the API server closed: {error}"),
            Err(panic) => format!("the door to the API server closed: {panic}"),
        }),
        ended = node => Err(ended.err().unwrap_or_else(|| "the node stopped".to_owned())),
    }
}

async fn any_end(running: &mut [Daemon]) -> String {
    let ends: Vec<_> = running
        .iter_mut()
        .map(|daemon| Box::pin(daemon.ended()))
        .collect();
    select_all(ends).await.0
}

/// A client of the API server, as soon as that answers.
async fn api_client(spec: &WorldSpec, running: &mut [Daemon]) -> Result<Client, String> {
    let kubeconfig = spec.kubeconfig_inside();
    tokio::select! {
        words = any_end(running) => Err(words),
        ready = api::ready(&kubeconfig) => ready.map_err(|last| {
            format!("the API server was not ready within {:?}; last answer: {last}", api::DEADLINE)
        }),
    }
}
