//! Kinds of targets, and the name of one.

use clap::ValueEnum;

/// Name of a target when none is given.
pub const DEFAULT_NAME: &str = "default";

/// Where scenarios run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum TargetKind {
    /// A private world on this machine: no Docker, no cluster, no root.
    #[default]
    Local,
    /// A cluster made with kind.
    Kind,
    /// An existing cluster, named by `--context`.
    Cluster,
}

impl TargetKind {
    /// The kind as it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Kind => "kind",
            Self::Cluster => "cluster",
        }
    }
}
