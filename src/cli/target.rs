//! `meshproof target`.

use clap::{Args, Subcommand};

use super::{MeshArgs, run::scale};
use crate::{output::Format, targets::TargetKind};

#[derive(Debug, Clone, Args)]
pub struct TargetArgs {
    #[command(subcommand)]
    pub command: TargetCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub enum TargetCommand {
    /// Bring a target up with its mesh and keep it until `target down`.
    Up(Box<TargetUp>),
    /// Remove a target and everything in it.
    Down(TargetDown),
    /// Show what is up, and the runs on it: living, dead, or ended with something kept.
    Status(TargetStatus),
    /// Remove what dead runs left on a target: their namespaces, and what they wrote outside of
    /// them.
    Gc(TargetGc),
    /// Open a shell (or run a command) inside a target, with kubectl's configuration set.
    Shell(TargetShell),
}

/// Which target.
#[derive(Debug, Clone, Args)]
pub struct TargetName {
    /// Name of the target.
    #[arg(long, default_value = crate::targets::DEFAULT_NAME, value_name = "NAME", env = crate::env::NAME)]
    pub name: String,
}

/// A target that is up, of any kind.
#[derive(Debug, Clone, Args)]
pub struct TargetWhich {
    /// Name of a target kept up by `meshproof target up`.
    #[arg(long, value_name = "NAME", env = crate::env::NAME)]
    pub name: Option<String>,
    /// Where, when a local target and a kind cluster have the same name; `cluster` with
    /// `--context`.
    #[arg(long, value_enum, value_name = "KIND")]
    pub target: Option<TargetKind>,
    /// Context of the kubeconfig: an existing cluster.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Run the credential plugin that the kubeconfig names (`exec`).
    #[arg(long, env = crate::env::ALLOW_EXEC_PLUGINS)]
    pub allow_exec_plugins: bool,
}

#[derive(Debug, Clone, Args)]
pub struct TargetDown {
    #[command(flatten)]
    pub which: TargetWhich,
}

#[derive(Debug, Clone, Args)]
pub struct TargetGc {
    #[command(flatten)]
    pub which: TargetWhich,
    /// Only what this run left, whether it is dead or not.
    #[arg(long, value_name = "ID", conflicts_with = "all")]
    pub run: Option<String>,
    /// Also what ended runs keep (`--keep`). Living runs stay.
    #[arg(long)]
    pub all: bool,
    /// Say what would be removed; remove nothing.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Clone, Args)]
pub struct TargetStatus {
    #[command(flatten)]
    pub which: TargetWhich,
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
}

#[derive(Debug, Clone, Args)]
pub struct TargetUp {
    #[command(flatten)]
    pub which: TargetName,
    /// Where.
    #[arg(long, value_enum, value_name = "KIND", env = crate::env::TARGET)]
    pub target: Option<TargetKind>,
    /// Version of Envoy, e.g. `1.39.3`.
    #[arg(long, value_name = "VERSION", env = crate::env::ENVOY)]
    pub envoy: Option<String>,
    #[command(flatten)]
    pub mesh: MeshArgs,
    /// Image of the local target: a name, the directory with its files, and optionally its
    /// entrypoint. Repeatable.
    #[arg(long = "image", value_name = "NAME=DIR[,ENTRYPOINT…]")]
    pub images: Vec<String>,
    /// Stretch every deadline by this factor, from 0.1 to 100: 3 for a machine that is slow.
    #[arg(long, value_name = "FACTOR", value_parser = scale)]
    pub timeout_scale: Option<f64>,
}

#[derive(Debug, Clone, Args)]
pub struct TargetShell {
    #[command(flatten)]
    pub which: TargetName,
    /// Command to run in place of an interactive shell.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}
