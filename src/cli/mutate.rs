//! `meshproof mutate`.

use std::path::PathBuf;

use clap::Args;

use super::run::scale;

#[derive(Debug, Clone, Args)]
pub struct MutateArgs {
    /// Suite files, folders or scenario ids; every scenario when absent.
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Only this mutation.
    #[arg(long, value_name = "NAME")]
    pub mutation: Option<String>,
    /// Only print what mutations there are.
    #[arg(long)]
    pub list: bool,
    /// Print, as Markdown, which fields of what istiod sends are claimed; from the report directory
    /// of a run.
    #[arg(long, value_name = "DIR", conflicts_with = "list")]
    pub coverage: Option<PathBuf>,
    /// Name of a target kept up by `meshproof target up`; one of its own when absent.
    #[arg(long, value_name = "NAME", env = crate::env::NAME)]
    pub name: Option<String>,
    /// Run every scenario under every mutation, also those that read none of the files that it
    /// changes.
    #[arg(long)]
    pub all: bool,
    /// Scenarios at the same time.
    #[arg(short, long, value_name = "N", env = crate::env::JOBS)]
    pub jobs: Option<usize>,
    /// Stretch every deadline by this factor, from 0.1 to 100: 3 for a machine that is slow.
    #[arg(long, value_name = "FACTOR", value_parser = scale)]
    pub timeout_scale: Option<f64>,
}
