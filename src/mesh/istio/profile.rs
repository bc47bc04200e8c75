//! Istio installation profiles.

use clap::ValueEnum;

/// How Istio is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Profile {
    /// Enable everything that Istio's own proxy supports.
    #[default]
    Full,
    /// As on the local target: for an Envoy without Istio's own extensions.
    Stock,
}

impl Profile {
    /// The value on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Stock => "stock",
        }
    }
}
