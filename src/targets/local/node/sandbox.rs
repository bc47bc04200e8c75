//! A pod's sandbox: network, UTS and IPC namespaces that its containers share.

use std::{
    fs::File,
    io,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use nix::{
    sched::{CloneFlags, setns, unshare},
    unistd::sethostname,
};
use tokio::sync::oneshot;

use super::network;

/// Kernel settings of a pod's network. Container runtimes let every user bind every port;
/// reverse-path filtering would drop what Istio's rules send back through another link.
const SYSCTLS: [(&str, &str); 3] = [
    ("net.ipv4.ip_unprivileged_port_start", "0"),
    ("net.ipv4.conf.all.rp_filter", "0"),
    ("net.ipv4.conf.default.rp_filter", "0"),
];

/// Open namespaces; they live as long as this value or a process in them.
#[derive(Debug)]
pub(super) struct Namespaces {
    /// `None` in a pod with `hostNetwork`, which stays in the world's.
    net: Option<File>,
    uts: Option<File>,
    ipc: File,
}

/// A pod's namespaces and its address.
#[derive(Debug)]
pub(super) struct Sandbox {
    pub namespaces: Arc<Namespaces>,
    pub ip: Ipv4Addr,
    /// Whether the address is the pod's own; with `hostNetwork` it is the node's.
    pub own_ip: bool,
}

impl Namespaces {
    /// Moves the calling thread into the namespaces. The thread must be short-lived: it cannot
    /// leave them again.
    pub fn enter(&self) -> io::Result<()> {
        if let Some(net) = &self.net {
            setns(net, CloneFlags::CLONE_NEWNET)?;
        }
        if let Some(uts) = &self.uts {
            setns(uts, CloneFlags::CLONE_NEWUTS)?;
        }
        Ok(setns(&self.ipc, CloneFlags::CLONE_NEWIPC)?)
    }

    /// Connects to `address` as a process of the pod would.
    pub async fn connect(
        self: &Arc<Self>,
        address: SocketAddr,
        timeout: Duration,
    ) -> io::Result<tokio::net::TcpStream> {
        let namespaces = self.clone();
        let stream = on_own_thread(move || {
            namespaces.enter()?;
            let stream = TcpStream::connect_timeout(&address, timeout)?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        })
        .await?;
        tokio::net::TcpStream::from_std(stream)
    }
}

/// Runs `work` on its own thread, which may change namespaces freely.
pub(super) async fn on_own_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (send, receive) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    std::thread::Builder::new()
        .name("namespaces".to_owned())
        .stack_size(256 * 1024)
        .spawn(move || {
            let _inside = runtime.enter();
            let _ = send.send(work());
        })?;
    receive
        .await
        .map_err(|_| io::Error::other("the thread in the pod's namespaces panicked"))?
}

/// Creates the namespaces of a pod in the world's network.
pub(super) async fn host_network(node_ip: Ipv4Addr) -> io::Result<Sandbox> {
    let namespaces = on_own_thread(|| {
        unshare(CloneFlags::CLONE_NEWIPC)?;
        Ok(Namespaces {
            net: None,
            uts: None,
            ipc: own("ipc")?,
        })
    })
    .await?;
    Ok(Sandbox {
        namespaces: Arc::new(namespaces),
        ip: node_ip,
        own_ip: false,
    })
}

/// Creates the namespaces of a pod and connects its network to the world's.
pub(super) async fn create(
    world: &rtnetlink::Handle,
    node_ip: Ipv4Addr,
    ip: Ipv4Addr,
    hostname: String,
    sysctls: Vec<(String, String)>,
) -> io::Result<Sandbox> {
    let (namespaces, connection, pod) = on_own_thread(move || {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC)?;
        sethostname(&hostname)?;
        for (name, value) in SYSCTLS {
            set(name, value)?;
        }
        for (name, value) in &sysctls {
            set(name, value)?;
        }
        // a netlink socket belongs to the namespace in which it was created, wherever it is
        // used later
        let (connection, handle, _) = rtnetlink::new_connection()?;
        let namespaces = Namespaces {
            net: Some(own("net")?),
            uts: Some(own("uts")?),
            ipc: own("ipc")?,
        };
        Ok((namespaces, connection, handle))
    })
    .await?;
    let netlink = tokio::spawn(connection);
    let net = namespaces
        .net
        .as_ref()
        .ok_or_else(|| io::Error::other("no network namespace"))?;
    let connected = network::connect(world, &pod, net, node_ip, ip).await;
    netlink.abort();
    connected?;
    Ok(Sandbox {
        namespaces: Arc::new(namespaces),
        ip,
        own_ip: true,
    })
}

/// Sets a kernel setting of the calling thread's namespaces.
fn set(name: &str, value: &str) -> io::Result<()> {
    std::fs::write(format!("/proc/sys/{}", name.replace('.', "/")), value)
        .map_err(|error| io::Error::new(error.kind(), format!("sysctl {name}: {error}")))
}

/// The calling thread's own namespace of one kind.
fn own(kind: &str) -> io::Result<File> {
    File::open(format!("/proc/thread-self/ns/{kind}"))
}
