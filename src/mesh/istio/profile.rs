//! Ways to install Istio.

use clap::ValueEnum;

/// How Istio is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Profile {
    /// With all that Istio's own proxy can do.
    #[default]
    Full,
    /// As on the local target: for a proxy without Istio's own extensions.
    Stock,
}

impl Profile {
    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Stock => "stock",
        }
    }
}
