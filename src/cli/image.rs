//! `meshproof image`: what `scripts/kind-offline` needs to know and to write. Not shown in help
//! texts.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Clone, Args)]
pub struct ImageArgs {
    #[command(subcommand)]
    pub command: ImageCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub enum ImageCommand {
    /// Print where the tool chain's sets are, with versions, as variables of a shell. Exit code 3
    /// when something is missing.
    Inputs(ImageInputs),
    /// Write an image that consists of tar archives.
    Pack(ImagePack),
    /// Write Istio's images, HUB/pilot:TAG and HUB/proxyv2:TAG.
    Istio(ImageIstio),
    /// Write what `kind build node-image --type file` takes: Kubernetes' programs and a node's
    /// images.
    Kubernetes(ImageKubernetes),
    /// Print the images of an archive: id, names, layers.
    List(ImageList),
}

#[derive(Debug, Clone, Args)]
pub struct ImageInputs {
    /// Version of Envoy, e.g. `1.39.3`.
    #[arg(long, value_name = "VERSION", env = crate::env::ENVOY)]
    pub envoy: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub struct ImagePack {
    /// Name with a tag.
    #[arg(long)]
    pub name: String,
    /// Uncompressed tar archive. Repeatable, the lowest layer first.
    #[arg(long = "layer", required = true, value_name = "TAR")]
    pub layers: Vec<PathBuf>,
    /// Program and its first arguments. Repeatable.
    #[arg(long, value_name = "WORD")]
    pub entrypoint: Vec<String>,
    /// Environment variable. Repeatable.
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// What ends a container, instead of SIGTERM.
    #[arg(long, value_name = "SIGNAL")]
    pub stop_signal: Option<String>,
    #[arg(value_name = "OUT.tar")]
    pub to: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub struct ImageIstio {
    /// The tool chain's set of the control plane.
    #[arg(long, value_name = "DIR")]
    pub control_plane: PathBuf,
    /// The tool chain's set of Envoy.
    #[arg(long, value_name = "DIR")]
    pub envoy: PathBuf,
    #[arg(long, value_name = "VERSION")]
    pub envoy_version: String,
    /// Uncompressed tar of what proxies stand on.
    #[arg(long, value_name = "TAR")]
    pub userland: PathBuf,
    #[arg(long)]
    pub hub: String,
    #[arg(long)]
    pub tag: String,
    #[arg(value_name = "OUT.tar")]
    pub to: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub struct ImageKubernetes {
    /// The tool chain's set of the control plane.
    #[arg(long, value_name = "DIR")]
    pub control_plane: PathBuf,
    /// The tool chain's set of kind.
    #[arg(long, value_name = "DIR")]
    pub kind: PathBuf,
    /// Uncompressed tar of what kube-proxy stands on.
    #[arg(long, value_name = "TAR")]
    pub userland: PathBuf,
    #[arg(value_name = "OUT.tar.gz")]
    pub to: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub struct ImageList {
    /// Uncompressed archive in the form of `docker save`.
    #[arg(value_name = "ARCHIVE")]
    pub archive: PathBuf,
}
