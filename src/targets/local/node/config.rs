//! What the node is told, and what its tasks share.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    path::PathBuf,
    sync::Arc,
};

use kube::Client;

use super::{events::EventSink, ipam::Ipam, memory::Memory, pod_table::PodTable, sources::Sources};
use crate::toolchain::images::ImageStore;

/// Everything that a node needs to know about the world it lives in.
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
    /// Where the node's socket is made (exec, port-forward, logs).
    pub socket: PathBuf,
    /// User 0 of this world is user 0 of the machine.
    pub machines_root: bool,
    /// Port on which another program serves the kubelet's streaming API for this node.
    pub kubelet_port: u16,
}

/// Why the node stopped.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The API server refused something that the node cannot do without.
    #[error("node {node}: cannot {what}")]
    Api {
        node: String,
        what: &'static str,
        source: Box<kube::Error>,
    },
    /// A file, a link or a socket could not be made.
    #[error("node {node}: cannot {what}")]
    Io {
        node: String,
        what: String,
        source: std::io::Error,
    },
}

/// What every task of the node may use.
pub(super) struct Shared {
    pub cfg: NodeConfig,
    /// Netlink in the world's network namespace.
    pub netlink: rtnetlink::Handle,
    pub ipam: Ipam,
    pub events: EventSink,
    /// Who wants to hear about which ConfigMap or Secret.
    pub sources: Sources,
    /// Containers whose memory is looked after.
    pub memory: Memory,
    /// The containers that run, for the socket.
    pub running: PodTable,
}

impl Shared {
    pub fn pod_dir(&self, uid: &str) -> PathBuf {
        self.cfg.state_dir.join("pods").join(uid)
    }
}
