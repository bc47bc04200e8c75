//! The kinds of targets.

use clap::ValueEnum;

/// Name of a target when none is given.
pub const DEFAULT_NAME: &str = "default";

/// Where scenarios run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum TargetKind {
    /// A private cluster on this machine, without Docker, an existing cluster or root.
    #[default]
    Local,
    /// A cluster created with kind.
    Kind,
    /// An existing cluster, named by `--context`.
    Cluster,
}

impl TargetKind {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Kind => "kind",
            Self::Cluster => "cluster",
        }
    }
}
