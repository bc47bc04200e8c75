//! `meshproof mutate`.

use std::path::PathBuf;

use clap::Args;

use super::run::scale;
use crate::run::context::IsolationMode;

#[derive(Debug, Clone, Args)]
pub struct MutateArgs {
    /// Suite files, folders or scenario ids (default: every scenario).
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Run only this mutation.
    #[arg(long, value_name = "NAME")]
    pub mutation: Option<String>,
    /// Print the mutations and exit.
    #[arg(long)]
    pub list: bool,
    /// Print a Markdown table of the fields sent by istiod and the scenarios that claim them, from
    /// the report directory of a run.
    #[arg(long, value_name = "DIR", conflicts_with = "list")]
    pub coverage: Option<PathBuf>,
    /// Name of a target kept up by `meshproof target up` (default: a new local target).
    #[arg(long, value_name = "NAME", env = crate::env::NAME)]
    pub name: Option<String>,
    /// Run every scenario under every mutation, including scenarios that read none of the files
    /// that the mutation changes.
    #[arg(long)]
    pub all: bool,
    /// Number of scenarios to run at the same time (default: 8).
    #[arg(short, long, value_name = "N", env = crate::env::JOBS)]
    pub jobs: Option<usize>,
    /// Whether scenarios may use namespaces and pods one after the other (default: shared).
    #[arg(long, value_enum, value_name = "MODE", env = crate::env::ISOLATION)]
    pub isolation: Option<IsolationMode>,
    /// Factor for every timeout, from 0.1 to 100 (default: 1); use 3 for a slow machine.
    #[arg(long, value_name = "FACTOR", value_parser = scale)]
    pub timeout_scale: Option<f64>,
}
