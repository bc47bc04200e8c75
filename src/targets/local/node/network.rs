//! A pod's link to the world: one veth pair with point-to-point routes.
//!
//! There is no bridge, so every packet between pods is routed by the world's stack, where
//! kube-proxy's rules see both directions. The pod has its address with a full-length prefix and
//! sends everything to a link-local gateway, which is the other end of its link; the world has a
//! route to that one address.

use std::{
    fs::File,
    io,
    net::Ipv4Addr,
    os::fd::AsRawFd,
    sync::atomic::{AtomicU32, Ordering},
};

use rtnetlink::{
    Handle, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder,
    packet_route::{
        link::{InfoData, InfoKind, InfoVeth},
        route::RouteScope,
    },
};

/// The gateway of every pod, the world's end of its link.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
/// Index of the loopback link in every network namespace.
const LOOPBACK: u32 = 1;
/// Index of a pod's `eth0`.
const ETH0: u32 = 2;

/// Indices for the world's ends of the links, chosen here so that no look-up by name is needed.
static NEXT_INDEX: AtomicU32 = AtomicU32::new(10_000);

/// Creates the pair between the world and the network namespace `net` and gives both ends their
/// addresses and routes.
///
/// It is never deleted explicitly: it disappears with the network namespace, which the kernel
/// tears down in batches. Deleting links one by one takes over 100 ms each, during which no other
/// link can be created.
pub(super) async fn connect(
    world: &Handle,
    pod: &Handle,
    net: &File,
    node_ip: Ipv4Addr,
    pod_ip: Ipv4Addr,
) -> io::Result<()> {
    let index = NEXT_INDEX.fetch_add(1, Ordering::Relaxed);
    create_pair(world, net, index).await?;
    set_up_pod(pod, pod_ip).await?;
    set_up_world(world, index, node_ip, pod_ip).await
}

/// Creates the pair: the world's end has the given index, the pod's end is `eth0` in `net`.
async fn create_pair(world: &Handle, net: &File, index: u32) -> io::Result<()> {
    let peer = LinkMessageBuilder::<LinkUnspec>::new()
        .name("eth0")
        .index(ETH0)
        .setns_by_fd(net.as_raw_fd())
        .build();
    let pair = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
        .name(format!("veth{index}"))
        .index(index)
        .up()
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
        .build();
    world
        .link()
        .add(pair)
        .execute()
        .await
        .map_err(cannot("create the pod's link"))
}

/// Brings up the pod's links and gives its end of the pair the address and the routes.
async fn set_up_pod(pod: &Handle, pod_ip: Ipv4Addr) -> io::Result<()> {
    for (index, what) in [(LOOPBACK, "bring up lo"), (ETH0, "bring up eth0")] {
        let up = LinkUnspec::new_with_index(index).up().build();
        pod.link().set(up).execute().await.map_err(cannot(what))?;
    }
    pod.address()
        .add(ETH0, pod_ip.into(), 32)
        .execute()
        .await
        .map_err(cannot("give eth0 its address"))?;
    let gateway = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(GATEWAY, 32)
        .output_interface(ETH0)
        .scope(RouteScope::Link)
        .build();
    pod.route()
        .add(gateway)
        .execute()
        .await
        .map_err(cannot("route to the gateway"))?;
    let default = RouteMessageBuilder::<Ipv4Addr>::new()
        .gateway(GATEWAY)
        .output_interface(ETH0)
        .build();
    pod.route()
        .add(default)
        .execute()
        .await
        .map_err(cannot("route through the gateway"))
}

/// Gives the world's end of the pair the gateway's address and the route to the pod.
async fn set_up_world(
    world: &Handle,
    index: u32,
    node_ip: Ipv4Addr,
    pod_ip: Ipv4Addr,
) -> io::Result<()> {
    world
        .address()
        .add(index, GATEWAY.into(), 32)
        .execute()
        .await
        .map_err(cannot("give the gateway its address"))?;
    let to_pod = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(pod_ip, 32)
        .output_interface(index)
        .scope(RouteScope::Link)
        .pref_source(node_ip)
        .build();
    world
        .route()
        .add(to_pod)
        .execute()
        .await
        .map_err(cannot("route to the pod"))
}

/// Returns the conversion of an error while doing `what`, for `map_err`.
fn cannot(what: &'static str) -> impl Fn(rtnetlink::Error) -> io::Error {
    move |error| io::Error::other(format!("cannot {what}: {error}"))
}

/// Adds a route to a network of Service addresses to the world itself. kube-proxy rewrites such
/// addresses, but only after the kernel has found a route for them.
pub(super) async fn route_services(
    world: &Handle,
    network: Ipv4Addr,
    prefix: u8,
    node_ip: Ipv4Addr,
) -> io::Result<()> {
    let route = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(network, prefix)
        .output_interface(LOOPBACK)
        .scope(RouteScope::Link)
        .pref_source(node_ip)
        .build();
    match world.route().add(route).execute().await {
        Err(rtnetlink::Error::NetlinkError(message))
            if message.raw_code() == -nix::libc::EEXIST =>
        {
            Ok(())
        }
        done => done.map_err(|error| io::Error::other(format!("{network}/{prefix}: {error}"))),
    }
}

/// Lets the world forward packets between its links.
pub(super) fn enable_forwarding() -> io::Result<()> {
    for (name, value) in [
        ("ip_forward", "1"),
        ("conf/all/rp_filter", "0"),
        ("conf/default/rp_filter", "0"),
    ] {
        let path = format!("/proc/sys/net/ipv4/{name}");
        std::fs::write(&path, value)
            .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?;
    }
    Ok(())
}
