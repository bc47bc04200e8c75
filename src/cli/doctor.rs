//! `meshproof doctor`.

use clap::Args;

use super::{Format, TargetKind};

#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// Where scenarios are to run.
    #[arg(long, value_enum, value_name = "KIND", env = crate::env::TARGET)]
    pub target: Option<TargetKind>,
    /// Name of the kind cluster to be, to see whether one has it already.
    #[arg(long, value_name = "NAME", env = crate::env::NAME)]
    pub name: Option<String>,
    /// Context of the kubeconfig that is to be used with `--target cluster`.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
}
