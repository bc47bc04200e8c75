//! `meshproof toolchain`.

use clap::{Args, Subcommand};

use crate::output::Format;

#[derive(Debug, Clone, Args)]
pub struct ToolchainArgs {
    #[command(subcommand)]
    pub command: ToolchainCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub enum ToolchainCommand {
    /// Build or fetch everything the local target needs (minutes when cold, nothing when cached).
    Prepare(ToolchainPrepare),
    /// Show which binaries are there, with versions. Exit code 3 when something is missing.
    Status(ToolchainStatus),
    /// Remove what other versions left in the cache. Nothing that is being made or that a local
    /// target runs.
    Prune,
}

#[derive(Debug, Clone, Args)]
pub struct ToolchainPrepare {
    /// Version of Envoy, e.g. `1.39.3`.
    #[arg(long, value_name = "VERSION", env = crate::env::ENVOY)]
    pub envoy: Option<String>,
    /// Also kind and what its nodes are made of, for `scripts/kind-offline`.
    #[arg(long)]
    pub kind: bool,
}

#[derive(Debug, Clone, Args)]
pub struct ToolchainStatus {
    /// Version of Envoy, e.g. `1.39.3`.
    #[arg(long, value_name = "VERSION", env = crate::env::ENVOY)]
    pub envoy: Option<String>,
    /// Also kind and what its nodes are made of.
    #[arg(long)]
    pub kind: bool,
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
}
