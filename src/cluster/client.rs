//! A client of a cluster, by a kubeconfig that is named: never by what happens to be the current context.

use std::path::Path;

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

/// The cluster of a kubeconfig's own current context, or of the context that is named.
///
/// # Errors
/// In words: the file is not there, is none, or has no such context.
pub async fn of(kubeconfig: &Path, context: Option<&str>) -> Result<Client, String> {
    let read = Kubeconfig::read_from(kubeconfig).map_err(|error| error.to_string())?;
    with(read, context).await
}

/// As [`of`], from what was read.
///
/// # Errors
/// As [`of`].
pub async fn with(read: Kubeconfig, context: Option<&str>) -> Result<Client, String> {
    let options = KubeConfigOptions {
        context: context.map(str::to_owned),
        ..KubeConfigOptions::default()
    };
    let config = Config::from_custom_kubeconfig(read, &options)
        .await
        .map_err(|error| error.to_string())?;
    Client::try_from(config).map_err(|error| error.to_string())
}
