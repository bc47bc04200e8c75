//! `meshproof image`: what `scripts/kind-offline` reads and writes. Hidden from help texts.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Clone, Args)]
pub struct ImageArgs {
    #[command(subcommand)]
    pub command: ImageCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub enum ImageCommand {
    /// Print the directories of the tool chain's sets, and versions, as shell variables. Exit code
    /// 3 if anything is missing.
    Inputs(ImageInputs),
    /// Write an image that consists of tar archives.
    Pack(ImagePack),
    /// Write Istio's images, HUB/pilot:TAG and HUB/proxyv2:TAG.
    Istio(ImageIstio),
    /// Write the input of `kind build node-image --type file`: Kubernetes' programs and a node's
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
    /// Image name with a tag.
    #[arg(long)]
    pub name: String,
    /// Uncompressed tar archive of a layer. Repeatable, lowest layer first.
    #[arg(long = "layer", required = true, value_name = "TAR")]
    pub layers: Vec<PathBuf>,
    /// Program of the entrypoint, then its arguments. Repeatable.
    #[arg(long, value_name = "WORD")]
    pub entrypoint: Vec<String>,
    /// Environment variable. Repeatable.
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Signal that stops a container (default: SIGTERM).
    #[arg(long, value_name = "SIGNAL")]
    pub stop_signal: Option<String>,
    #[arg(value_name = "OUT.tar")]
    pub to: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub struct ImageIstio {
    /// Directory of the tool chain's control plane set.
    #[arg(long, value_name = "DIR")]
    pub control_plane: PathBuf,
    /// Directory of the tool chain's Envoy set.
    #[arg(long, value_name = "DIR")]
    pub envoy: PathBuf,
    #[arg(long, value_name = "VERSION")]
    pub envoy_version: String,
    /// Uncompressed tar archive of the proxies' base layer.
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
    /// Directory of the tool chain's control plane set.
    #[arg(long, value_name = "DIR")]
    pub control_plane: PathBuf,
    /// Directory of the tool chain's kind set.
    #[arg(long, value_name = "DIR")]
    pub kind: PathBuf,
    /// Uncompressed tar archive of kube-proxy's base layer.
    #[arg(long, value_name = "TAR")]
    pub userland: PathBuf,
    #[arg(value_name = "OUT.tar.gz")]
    pub to: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub struct ImageList {
    /// Uncompressed archive in the format of `docker save`.
    #[arg(value_name = "ARCHIVE")]
    pub archive: PathBuf,
}
