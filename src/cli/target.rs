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
    /// Bring up a target with its mesh and keep it until `target down`.
    Up(Box<TargetUp>),
    /// Remove a target and everything in it.
    Down(TargetDown),
    /// Show the targets that are up, and their runs: living, dead, or ended with something kept.
    Status(TargetStatus),
    /// Remove what dead runs left on a target, inside and outside their namespaces.
    Gc(TargetGc),
    /// Open a shell (or run a command) inside a local target, with KUBECONFIG set.
    Shell(TargetShell),
}

/// The name of a target.
#[derive(Debug, Clone, Args)]
pub struct TargetName {
    /// Name of the target.
    #[arg(long, default_value = crate::targets::DEFAULT_NAME, value_name = "NAME", env = crate::env::NAME)]
    pub name: String,
}

/// Flags that select a target of any kind that is up.
#[derive(Debug, Clone, Args)]
pub struct TargetWhich {
    /// Name of a target kept up by `meshproof target up`.
    #[arg(long, value_name = "NAME", env = crate::env::NAME)]
    pub name: Option<String>,
    /// Kind of the target, if a local target and a kind cluster have the same name; `cluster`
    /// needs `--context`.
    #[arg(long, value_enum, value_name = "KIND")]
    pub target: Option<TargetKind>,
    /// Context of the kubeconfig, for an existing cluster.
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
    /// Remove only what this run left, whether the run is dead or not.
    #[arg(long, value_name = "ID", conflicts_with = "all")]
    pub run: Option<String>,
    /// Also remove what ended runs keep (`--keep`); living runs stay.
    #[arg(long)]
    pub all: bool,
    /// Print what would be removed; remove nothing.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Clone, Args)]
pub struct TargetStatus {
    #[command(flatten)]
    pub which: TargetWhich,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
}

#[derive(Debug, Clone, Args)]
pub struct TargetUp {
    #[command(flatten)]
    pub which: TargetName,
    /// Kind of the target (default: local).
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
    /// Install the mesh of a local target anew, instead of starting from a snapshot of the last
    /// installation.
    #[arg(long)]
    pub fresh: bool,
    /// Factor for every timeout, from 0.1 to 100 (default: 1); use 3 for a slow machine.
    #[arg(long, value_name = "FACTOR", value_parser = scale)]
    pub timeout_scale: Option<f64>,
}

#[derive(Debug, Clone, Args)]
pub struct TargetShell {
    #[command(flatten)]
    pub which: TargetName,
    /// Command to run instead of an interactive shell.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}
