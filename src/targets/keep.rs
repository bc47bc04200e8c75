//! What a run leaves in the target.

use clap::ValueEnum;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Keep {
    #[default]
    Never,
    /// Namespaces of scenarios whose verdict is not as expected.
    Failed,
    Always,
}
