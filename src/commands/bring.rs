//! From settings to a local target that is up: tool chain, test bed, world, mesh.

use std::path::PathBuf;

use super::CommandError;
use crate::{
    run::phases::Phases,
    target::local::{
        bring_up::{BringUpError, Local},
        world::launch::WorldOptions,
    },
    toolchain::{self, EnvoyVersion, Options, Toolchain},
};

/// Why the test bed cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the test bed's program is missing at {}: build it with `cargo build --release --workspace`", .0.display())]
pub struct NoTestbed(PathBuf);

/// What the local target is made of.
pub struct Parts<'a> {
    /// Name to keep it under.
    pub name: Option<&'a str>,
    pub envoy: Option<&'a str>,
    pub images: &'a [String],
}

/// Prepares the tool chain (quick when it is cached) and brings a local target up.
///
/// # Errors
/// [`CommandError`] of whatever is missing or failed.
pub async fn local(parts: &Parts<'_>, phases: &Phases) -> Result<Local, CommandError> {
    let envoy = super::toolchain::envoy(parts.envoy)?;
    for image in parts.images {
        toolchain::stock::from_option(image)
            .map_err(|error| CommandError::Usage(error.to_string()))?;
    }
    let testbed = testbed()?;
    let chain = phases.time("tool chain", prepare(envoy)).await?;
    let options = WorldOptions {
        name: parts.name.map(str::to_owned),
        bins: chain.bin(""),
        envoy: chain.envoy(),
        envoy_version: envoy.to_string(),
        bootstrap_template: chain.bootstrap_template(),
        gateway_api: chain.gateway_api_crds("standard"),
        testbed,
        witnesses: chain.witnesses(),
        grpcio: chain.grpcio(),
        versions: chain.versions.clone(),
        images: parts.images.to_vec(),
    };
    Local::bring_up(options, phases)
        .await
        .map_err(|error: BringUpError| CommandError::other(error))
}

async fn prepare(envoy: EnvoyVersion) -> Result<Toolchain, CommandError> {
    let prepared = tokio::task::spawn_blocking(move || {
        let options = Options::new(envoy)?;
        toolchain::prepare(&options, super::toolchain::tell)
    });
    prepared
        .await
        .map_err(CommandError::other)?
        .map_err(CommandError::other)
}

/// The test bed lies beside this program.
fn testbed() -> Result<PathBuf, CommandError> {
    let exe = std::env::current_exe().map_err(CommandError::other)?;
    let beside = exe.with_file_name("testbed");
    if beside.is_file() {
        Ok(beside)
    } else {
        Err(CommandError::other(NoTestbed(beside)))
    }
}
