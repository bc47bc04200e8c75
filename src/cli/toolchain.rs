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
    /// Build or fetch everything that the local target needs (minutes without a cache, nothing if
    /// cached).
    Prepare(ToolchainPrepare),
    /// Show the binaries and their versions. Exit code 3 if anything is missing.
    Status(ToolchainStatus),
    /// Remove what other versions left in the cache, except what is being built or is used by a
    /// running local target.
    Prune,
}

#[derive(Debug, Clone, Args)]
pub struct ToolchainPrepare {
    /// Version of Envoy, e.g. `1.39.3`.
    #[arg(long, value_name = "VERSION", env = crate::env::ENVOY)]
    pub envoy: Option<String>,
    /// Also prepare kind and the contents of its nodes, for `scripts/kind-offline`.
    #[arg(long)]
    pub kind: bool,
}

#[derive(Debug, Clone, Args)]
pub struct ToolchainStatus {
    /// Version of Envoy, e.g. `1.39.3`.
    #[arg(long, value_name = "VERSION", env = crate::env::ENVOY)]
    pub envoy: Option<String>,
    /// Also show kind and the contents of its nodes.
    #[arg(long)]
    pub kind: bool,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
}
