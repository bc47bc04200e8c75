//! The node's configuration, and the state that its tasks share.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    path::PathBuf,
    sync::Arc,
};

use kube::Client;

use super::{events::EventSink, ipam::Ipam, memory::Memory, pod_table::PodTable, sources::Sources};
use crate::toolchain::images::ImageStore;

/// Everything that a node needs to know about its world.
#[derive(Clone)]
pub struct NodeConfig {
    /// Client of the API server with an administrator's rights.
    pub client: Client,
    /// Name of the Node object.
    pub node_name: String,
    /// Address of the node, on a link of the world.
    pub node_ip: Ipv4Addr,
    /// Network that pod addresses come from, as address and prefix length.
    pub pod_cidr: (Ipv4Addr, u8),
    /// Service address of the API server, for `KUBERNETES_SERVICE_HOST` and `…_PORT`.
    pub api_server: SocketAddrV4,
    /// Address of the cluster's DNS Service.
    pub cluster_dns: Ipv4Addr,
    /// DNS domain of the cluster.
    pub cluster_domain: String,
    /// Private directory (a tmpfs) for volumes, logs and roots.
    pub state_dir: PathBuf,
    /// The images that containers can be started from.
    pub images: Arc<ImageStore>,
    /// This program, for its hidden subcommands `__container` and `__enter`.
    pub self_exe: PathBuf,
    /// Path of the node's socket (exec, port-forward, logs).
    pub socket: PathBuf,
    /// Whether user 0 of this world is user 0 of the machine.
    pub machines_root: bool,
    /// Port on which another program serves the kubelet's streaming API for this node.
    pub kubelet_port: u16,
}

/// An error that stops the node.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The API server rejected a request that the node cannot do without.
    #[error("node {node}: cannot {what}")]
    Api {
        node: String,
        what: &'static str,
        source: Box<kube::Error>,
    },
    /// A file, a link or a socket could not be created.
    #[error("node {node}: cannot {what}")]
    Io {
        node: String,
        what: String,
        source: std::io::Error,
    },
}

/// State that all tasks of the node share.
pub(super) struct Shared {
    pub cfg: NodeConfig,
    /// Netlink in the world's network namespace.
    pub netlink: rtnetlink::Handle,
    pub ipam: Ipam,
    pub events: EventSink,
    /// Subscriptions to ConfigMaps and Secrets.
    pub sources: Sources,
    /// Containers whose memory is watched.
    pub memory: Memory,
    /// Running containers, for the socket.
    pub running: PodTable,
}

impl Shared {
    pub fn pod_dir(&self, uid: &str) -> PathBuf {
        self.cfg.state_dir.join("pods").join(uid)
    }
}
