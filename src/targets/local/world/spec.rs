//! What a world is made from, and the paths of its files.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// Address of the node, on the world's loopback link.
pub const NODE_IP: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);
/// First address of the service range: the API server's own Service.
pub const API_SERVICE_IP: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
/// Port of the API server's own Service.
pub const API_SERVICE_PORT: u16 = 443;
/// Address of the DNS Service: the tenth, as is customary.
pub const DNS_IP: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
pub const SERVICE_CIDR: &str = "10.96.0.0/16";
pub const POD_CIDR: &str = "10.244.0.0/16";
/// The same as address and prefix length.
pub const POD_NETWORK: (Ipv4Addr, u8) = (Ipv4Addr::new(10, 244, 0, 0), 16);
pub const CLUSTER_DOMAIN: &str = "cluster.local";
pub const NODE_NAME: &str = "local";
/// Port of the API server inside the world.
pub const API_PORT: u16 = 6443;
/// Port of the kubelet API inside the world.
pub const KUBELET_PORT: u16 = 10250;

/// Where the contents of the API server's store come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// They are installed through the API server.
    #[default]
    Installed,
    /// The same. Once all objects are there, the store is packed into this file, and the control
    /// plane starts again from it.
    Recorded(PathBuf),
    /// They are unpacked from this file.
    Snapshot(PathBuf),
}

/// Everything that the processes of a world need to know. Written once as `spec.json` into the
/// state directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WorldSpec {
    pub name: String,
    /// Directory of the world's sockets, logs and keys; the harness sees it too.
    pub state: PathBuf,
    /// Control-plane programs by name.
    pub bins: PathBuf,
    pub envoy: PathBuf,
    pub envoy_version: String,
    pub bootstrap_template: PathBuf,
    pub testbed: PathBuf,
    /// Directory of the other clients and servers.
    pub interop: PathBuf,
    /// Directory of Python packages with grpcio, if there is one.
    pub grpcio: Option<PathBuf>,
    /// Versions for the report, by component.
    #[serde(default)]
    pub versions: std::collections::BTreeMap<String, String>,
    /// The user's images, as `NAME=DIR[,ENTRYPOINT…]`.
    pub images: Vec<String>,
    /// Port on the host's loopback that leads to the API server.
    pub api_port: u16,
    #[serde(default)]
    pub origin: Origin,
    /// Whether it lives until it is taken down, not only as long as the harness.
    pub kept: bool,
    /// Factor by which its timeouts are stretched (`--timeout-scale`).
    #[serde(default = "plain")]
    pub timeout_scale: f64,
}

/// Timeouts as they are.
fn plain() -> f64 {
    1.0
}

impl WorldSpec {
    /// Reads the spec of the world whose state directory is `state`.
    ///
    /// # Errors
    /// If there is no readable spec.
    pub fn read(state: &Path) -> std::io::Result<Self> {
        let text = std::fs::read(state.join("spec.json"))?;
        serde_json::from_slice(&text).map_err(std::io::Error::other)
    }

    /// Writes the spec into its state directory.
    ///
    /// # Errors
    /// If the directory cannot be written.
    pub fn write(&self) -> std::io::Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(std::io::Error::other)?;
        std::fs::write(self.state.join("spec.json"), text)
    }

    /// Directory whose contents only the world sees: a tmpfs in its mount namespace.
    pub fn private(&self) -> PathBuf {
        self.state.join("private")
    }

    pub fn pki(&self) -> PathBuf {
        self.state.join("pki")
    }

    pub fn logs(&self) -> PathBuf {
        self.state.join("logs")
    }

    /// Kubeconfig for programs outside the world.
    pub fn kubeconfig(&self) -> PathBuf {
        self.state.join("kubeconfig")
    }

    /// Kubeconfig for programs inside the world.
    pub fn kubeconfig_inside(&self) -> PathBuf {
        self.state.join("kubeconfig-inside")
    }

    /// Socket on which the node answers (exec, port-forward, logs).
    pub fn node_socket(&self) -> PathBuf {
        self.state.join("node.sock")
    }

    /// Exists from when the harness has installed everything until a world that records a snapshot
    /// has started again from it.
    pub fn installed(&self) -> PathBuf {
        self.state.join("installed")
    }

    /// Directory of etcd's files.
    pub fn store(&self) -> PathBuf {
        self.private().join("etcd")
    }

    /// Why the world ended, if it ended on its own.
    pub fn failure(&self) -> PathBuf {
        self.state.join("failure")
    }

    /// Process id of PID 1 as the host sees it.
    pub fn init_pid(&self) -> PathBuf {
        self.state.join("init.pid")
    }
}
