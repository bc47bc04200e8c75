//! What a kind cluster and its Istio are made of: shared by `run` and `target up`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::target::kind::Mirror;

/// Flags that concern clusters with container images.
#[derive(Debug, Clone, Default, PartialEq, Args)]
#[command(next_help_heading = "Clusters (--target kind, --target cluster)")]
pub struct MeshArgs {
    /// Version of Istio, e.g. `1.31.1`; istioctl must be of this version.
    #[arg(long, value_name = "VERSION", env = crate::env::ISTIO)]
    pub istio: Option<String>,
    /// istioctl to install with; otherwise the one on PATH, otherwise the tool chain's.
    #[arg(long, value_name = "FILE", env = crate::env::ISTIOCTL)]
    pub istioctl: Option<PathBuf>,
    /// Registry and path of Istio's images, when not those of istioctl's release.
    #[arg(long, value_name = "HUB", env = crate::env::HUB)]
    pub hub: Option<String>,
    /// Tag of Istio's images, when not that of istioctl's release.
    #[arg(long, value_name = "TAG", env = crate::env::TAG)]
    pub tag: Option<String>,
    /// How Istio is installed.
    #[arg(long, value_enum, value_name = "PROFILE", env = crate::env::PROFILE)]
    pub profile: Option<Profile>,
    /// Nodes of a new kind cluster: `single`, `multi` (two workers; callers and servers run apart), or a kind configuration file.
    #[arg(long, value_name = "NODES", env = crate::env::NODES)]
    pub nodes: Option<String>,
    /// Node image of a new kind cluster, when not kind's own.
    #[arg(long, value_name = "IMAGE", env = crate::env::NODE_IMAGE)]
    pub node_image: Option<String>,
    /// Image archive (docker save) to load into a kind cluster. Repeatable.
    #[arg(long = "image-archive", value_name = "FILE", env = crate::env::IMAGE_ARCHIVES, value_delimiter = ' ')]
    pub image_archives: Vec<PathBuf>,
    /// Registry that a kind cluster's nodes pull from elsewhere: `HOST=URL` names a mirror of yours, `HOST` alone keeps what is pulled in a
    /// registry of its own for the next cluster. Repeatable.
    #[arg(long = "registry-mirror", value_name = "HOST[=URL]", env = crate::env::REGISTRY_MIRRORS, value_delimiter = ' ')]
    pub registry_mirrors: Vec<Mirror>,
    /// Name under which an existing cluster can pull the test bed's image.
    #[arg(long, value_name = "IMAGE", env = crate::env::TESTBED_IMAGE)]
    pub testbed_image: Option<String>,
}

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
