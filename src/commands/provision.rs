//! From settings to a target that is up: tool chain, test bed, world or cluster, mesh.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::CommandError;
use crate::{
    cluster::client::Plugins,
    event::phases::Phases,
    output,
    settings::{MeshSettings, Settings},
    targets::{
        cluster::{Existing, ExistingOptions},
        keep::Keep,
        kind::{Images, KindCluster, KindError, KindOptions, MadeOf, Nodes, Own, check_name},
        local::{
            bring_up::Local,
            world::launch::{World, WorldOptions},
        },
    },
    toolchain::{self, Cache, EnvoyVersion, PrepareOptions, Toolchain},
};

/// An error finding the test bed's program.
#[derive(Debug, thiserror::Error)]
#[error("the test bed's program is missing at {}: build it with `cargo build --release --workspace`", .0.display())]
pub struct NoTestbed(PathBuf);

/// How the local target is made.
pub struct LocalOptions<'a> {
    /// Name to keep it under.
    pub name: Option<&'a str>,
    pub envoy: Option<&'a str>,
    pub images: &'a [String],
    /// Neither use nor keep a snapshot.
    pub fresh: bool,
}

/// Prepares the tool chain (quick if cached) and brings up a local target.
///
/// # Errors
/// [`CommandError`] for whatever is missing or failed.
pub async fn local(parts: &LocalOptions<'_>, phases: &Phases) -> Result<Local, CommandError> {
    World::preflight(parts.name).map_err(CommandError::of)?;
    let envoy = super::toolchain::envoy(parts.envoy)?;
    let testbed = testbed()?;
    let chain = phases.time("tool chain", prepare(envoy)).await?;
    let cache = Cache::of_user().map_err(CommandError::of)?;
    let cache = cache.root().parent().map(Path::to_owned);
    let options = WorldOptions {
        name: parts.name.map(str::to_owned),
        bins: chain.bin(""),
        envoy: chain.envoy(),
        envoy_version: envoy.to_string(),
        bootstrap_template: chain.bootstrap_template(),
        gateway_api: chain.gateway_api_crds("standard"),
        testbed,
        interop: chain.interop(),
        grpcio: chain.grpcio(),
        versions: chain.versions.clone(),
        images: parts.images.to_vec(),
        cache: cache.filter(|_| !parts.fresh),
    };
    Local::bring_up(options, phases)
        .await
        .map_err(CommandError::of)
}

/// Checks the options of a kind cluster before anything starts.
///
/// # Errors
/// [`CommandError::Usage`]: a name, file or program that cannot be used.
pub async fn check(name: Option<&str>, mesh: &MeshSettings) -> Result<(), CommandError> {
    check_words(name, mesh)?;
    istioctl(mesh, ready_chain().await.as_ref()).await.map(drop)
}

/// The part of [`check`] that starts no program.
///
/// # Errors
/// [`CommandError::Usage`]: a name or file that cannot be used.
pub fn check_words(name: Option<&str>, mesh: &MeshSettings) -> Result<(), CommandError> {
    let usage = |error: KindError| CommandError::usage(&error);
    name.map_or(Ok(()), check_name).map_err(usage)?;
    Nodes::of(mesh.nodes.as_deref()).map_err(usage)?;
    let images = Images {
        testbed: PathBuf::new(),
        interop: None,
        grpcio: None,
        archives: mesh.image_archives.clone(),
    };
    images.names(&[]).map(drop).map_err(usage)
}

/// Brings up a kind cluster called `name`, or uses the existing one.
///
/// # Errors
/// [`CommandError`] for whatever is missing or failed.
pub async fn kind(
    name: &str,
    kept: bool,
    mesh: &MeshSettings,
    phases: &Phases,
) -> Result<Box<KindCluster>, CommandError> {
    let chain = ready_chain().await;
    let options = KindOptions {
        name: name.to_owned(),
        kept,
        kind: chain.as_ref().and_then(Toolchain::kind),
        nodes: Nodes::of(mesh.nodes.as_deref()).map_err(CommandError::of)?,
        node_image: mesh.node_image.clone(),
        images: Images {
            testbed: testbed()?,
            interop: chain.as_ref().map(Toolchain::interop),
            grpcio: chain.as_ref().and_then(Toolchain::grpcio),
            archives: mesh.image_archives.clone(),
        },
        mirrors: mesh.registry_mirrors.clone(),
        own: Own {
            program: chain.as_ref().and_then(Toolchain::registry),
            kept: Cache::of_user()
                .map_err(CommandError::of)?
                .root()
                .with_file_name("mirror"),
        },
        istioctl: istioctl(mesh, chain.as_ref()).await?,
        hub: mesh.hub.clone(),
        tag: mesh.tag.clone(),
        profile: mesh.profile.unwrap_or_default(),
        made_of: MadeOf::from(mesh),
        gateway_api: chain.map(|chain| chain.gateway_api_crds("standard")),
    };
    let up = KindCluster::bring_up(&options, phases).await;
    up.map(Box::new).map_err(|error| match error {
        KindError::MadeOf { .. } => CommandError::usage(&error),
        error => CommandError::of(error),
    })
}

/// Attaches to an existing cluster, and prints what will be done with it.
///
/// # Errors
/// [`CommandError`] for whatever is missing.
pub async fn existing(settings: &Settings, run_id: &str) -> Result<Box<Existing>, CommandError> {
    let istioctl = istioctl(&settings.target.mesh, None).await;
    let options = ExistingOptions {
        context: settings.target.context.clone().unwrap_or_default(),
        plugins: Plugins::when(settings.target.allow_exec_plugins),
        testbed: settings.target.mesh.testbed_image.clone(),
        istioctl: match &settings.target.mesh.istioctl {
            Some(_) => Some(istioctl?),
            None => istioctl.ok(),
        },
    };
    let existing = Existing::attach(&options).await;
    let existing = existing.map_err(CommandError::of)?;
    let keeps = settings.target.keep != Keep::Never;
    output::say(
        existing
            .plan(run_id, settings.execution.jobs, keeps)
            .trim_end(),
    );
    Ok(Box::new(existing))
}

/// Finds istioctl: the one that the flags name, else the one in PATH, else the tool chain's. It
/// must have the version that the flags name.
async fn istioctl(mesh: &MeshSettings, chain: Option<&Toolchain>) -> Result<PathBuf, CommandError> {
    let named = mesh.istioctl.clone();
    let found = named
        .or_else(|| toolchain::on_path(Path::new("istioctl")))
        .or_else(|| Some(chain?.bin("istioctl")));
    let Some(program) = found else {
        let message = "`istioctl` not found in PATH: install the one of your Istio release, name it with --istioctl, or build one with `meshproof toolchain prepare`";
        return Err(CommandError::Usage(message.to_owned()));
    };
    let answer = Command::new(&program)
        .args(["version", "--remote=false", "--short"])
        .output()
        .await;
    let answer =
        answer.map_err(|error| CommandError::Usage(format!("{}: {error}", program.display())))?;
    let answer = String::from_utf8_lossy(&answer.stdout);
    let answer = answer.trim().trim_start_matches("client version:").trim();
    match &mesh.istio {
        Some(expected) if !answer.split_whitespace().any(|word| word == expected) => {
            Err(CommandError::Usage(format!(
                "--istio {expected}: {} has version {}; put the istioctl of Istio {expected} in PATH or name it with --istioctl",
                program.display(),
                answer
            )))
        }
        _ => Ok(program),
    }
}

/// The tool chain, if it is complete; nothing is built for a cluster.
async fn ready_chain() -> Option<Toolchain> {
    let find = || {
        let without = PrepareOptions::new(EnvoyVersion::default()).ok()?;
        let with = PrepareOptions {
            kind: true,
            ..without.clone()
        };
        let is_ready = |options: &&PrepareOptions| {
            toolchain::status(options).is_ok_and(|status| status.ready())
        };
        let options = [with, without];
        let ready = options.iter().find(is_ready)?;
        toolchain::prepare(ready, |_| ()).ok()
    };
    tokio::task::spawn_blocking(find).await.ok().flatten()
}

async fn prepare(envoy: EnvoyVersion) -> Result<Toolchain, CommandError> {
    let prepared = tokio::task::spawn_blocking(move || {
        let options = PrepareOptions::new(envoy)?;
        toolchain::prepare(&options, super::toolchain::print_progress)
    });
    prepared
        .await
        .map_err(CommandError::other)?
        .map_err(CommandError::of)
}

/// Finds the test bed next to this program.
fn testbed() -> Result<PathBuf, CommandError> {
    let exe = std::env::current_exe().map_err(CommandError::other)?;
    let beside = exe.with_file_name("testbed");
    if beside.is_file() {
        Ok(beside)
    } else {
        Err(CommandError::other(NoTestbed(beside)))
    }
}
