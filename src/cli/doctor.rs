//! `meshproof doctor`.

use std::path::PathBuf;

use clap::Args;

use crate::{output::Format, targets::TargetKind};

#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// Target to check (default: local).
    #[arg(long, value_enum, value_name = "KIND", env = crate::env::TARGET)]
    pub target: Option<TargetKind>,
    /// Name of the kind cluster to be created, to check whether a cluster already has it.
    #[arg(long, value_name = "NAME", env = crate::env::NAME)]
    pub name: Option<String>,
    /// Version of Istio to be installed in the kind cluster, e.g. `1.31.1`.
    #[arg(long, value_name = "VERSION", env = crate::env::ISTIO)]
    pub istio: Option<String>,
    /// istioctl to install Istio with (default: the one in PATH, else the tool chain's).
    #[arg(long, value_name = "FILE", env = crate::env::ISTIOCTL)]
    pub istioctl: Option<PathBuf>,
    /// Context of the kubeconfig, for `--target cluster`.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Run the credential plugin that the kubeconfig names (`exec`).
    #[arg(long, env = crate::env::ALLOW_EXEC_PLUGINS)]
    pub allow_exec_plugins: bool,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
}
