//! What the node sends to the processes it starts, as JSON.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::targets::local::ns::CapSet;

/// Everything that a container's first process needs to build its root and become the container's
/// program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// An existing empty directory over which the new root is mounted.
    pub root: PathBuf,
    /// The image's files, in order.
    pub tree: Vec<RootEntry>,
    /// Volumes and the files that the node writes for the pod; the target is a path in the
    /// container.
    pub mounts: Vec<MountSpec>,
    /// `securityContext.readOnlyRootFilesystem`.
    pub read_only_root: bool,
    /// `resources.limits.memory` in bytes.
    #[serde(default)]
    pub memory: Option<u64>,
    /// User, groups and capabilities of the program.
    pub identity: Identity,
    /// Working directory in the container; created if missing, as container runtimes do.
    pub workdir: PathBuf,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
}

/// One thing in a container's root, taken from its image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum RootEntry {
    /// A file or directory of the host.
    Bind {
        host: PathBuf,
        at: PathBuf,
        read_only: bool,
    },
    /// A file with these bytes, mode 0644.
    File { at: PathBuf, contents: Vec<u8> },
    /// A symbolic link.
    Link { at: PathBuf, to: PathBuf },
    /// A directory with these permission bits.
    Dir { at: PathBuf, mode: u32 },
}

/// A file or directory of the node, bound into the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountSpec {
    /// Path on the node.
    pub source: PathBuf,
    /// Path in the container; links in it are resolved inside the container's root.
    pub target: PathBuf,
    /// Whether the mount is read-only.
    pub read_only: bool,
}

/// User, groups and capabilities of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary group ids.
    pub groups: Vec<u32>,
    /// Upper bound of the capabilities; a process of uid 0 holds all of them.
    pub capabilities: CapSet,
    /// Whether exec cannot gain privileges (`allowPrivilegeEscalation: false`).
    pub no_new_privs: bool,
}

/// What `__enter` needs to run a program in a running container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnterSpec {
    /// PID of the container's first process, as the world sees it.
    pub pid: i32,
    /// User, groups and capabilities of the program.
    pub identity: Identity,
    /// Working directory in the container.
    pub workdir: PathBuf,
    /// The container's environment.
    pub env: Vec<(String, String)>,
}

/// Why a container's program was not started; sent back over the socket that brought the
/// [`ContainerSpec`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StartFailure {
    /// What was tried, on what, and the error.
    pub message: String,
}
