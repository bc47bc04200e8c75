//! `meshproof target`.

use clap::{Args, Subcommand};

use super::{Format, MeshArgs, TargetKind};

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
    /// Show what is up.
    Status(TargetStatus),
    /// Open a shell (or run a command) inside a target, with kubectl's configuration set.
    Shell(TargetShell),
}

/// Which target.
#[derive(Debug, Clone, Args)]
pub struct TargetName {
    /// Name of the target.
    #[arg(long, default_value = "default", value_name = "NAME", env = crate::env::NAME)]
    pub name: String,
}

#[derive(Debug, Clone, Args)]
pub struct TargetDown {
    #[command(flatten)]
    pub which: TargetName,
    /// Where, when a local target and a kind cluster have the same name.
    #[arg(long, value_enum, value_name = "KIND")]
    pub target: Option<TargetKind>,
}

#[derive(Debug, Clone, Args)]
pub struct TargetStatus {
    #[command(flatten)]
    pub which: TargetName,
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
    /// Image of the local target: a name, the directory with its files, and optionally its entrypoint. Repeatable.
    #[arg(long = "image", value_name = "NAME=DIR[,ENTRYPOINT…]")]
    pub images: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub struct TargetShell {
    #[command(flatten)]
    pub which: TargetName,
    /// Command to run in place of an interactive shell.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}
