//! The world's own network: loopback, which also carries the node's address (not every kernel has
//! dummy links), and forwarding.

use std::{io, net::Ipv4Addr, process::Stdio};

use futures::TryStreamExt as _;
use tokio::{io::AsyncWriteExt as _, process::Command};

use rtnetlink::{
    Handle, LinkMessageBuilder, LinkUnspec, LinkVeth,
    packet_route::link::{InfoData, InfoKind, InfoVeth},
};

use super::{
    error::RoleError,
    spec::{API_PORT, API_SERVICE_IP, API_SERVICE_PORT, NODE_IP},
};

/// Sets up the node's side of the network. Runs in the world's network namespace.
///
/// # Errors
/// [`RoleError`], with the step that the kernel rejected.
pub async fn set_up() -> Result<(), RoleError> {
    for (name, value) in [
        ("ipv4/ip_forward", "1"),
        ("ipv4/conf/all/rp_filter", "0"),
        ("ipv4/conf/default/rp_filter", "0"),
        ("ipv4/ip_local_port_range", "20000 60999"),
    ] {
        let path = format!("/proc/sys/net/{name}");
        std::fs::write(&path, value).map_err(RoleError::io(format!("set {path}")))?;
    }
    let (connection, handle, _) =
        rtnetlink::new_connection().map_err(RoleError::io("open netlink"))?;
    let task = tokio::spawn(connection);
    let done = links(&handle).await.map_err(RoleError::Links);
    task.abort();
    done
}

/// Leads the address of the API server's Service to the API server, as kube-proxy's own rule for it
/// does later. A pod that starts earlier would be refused, and try again a second or more later.
///
/// # Errors
/// [`RoleError::Io`]: `nft` cannot be run, or rejects the rule.
pub async fn route_api_server() -> Result<(), RoleError> {
    let failed = || RoleError::io("add a rule for the API server's Service");
    let mut nft = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed())?;
    if let Some(mut stdin) = nft.stdin.take() {
        let rules = rules();
        stdin.write_all(rules.as_bytes()).await.map_err(failed())?;
    }
    let output = nft.wait_with_output().await.map_err(failed())?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let answer = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err(failed()(io::Error::other(answer)))
        }
    }
}

/// Just before the priority of kube-proxy's chains, `dstnat` (nft(8)), which the hook `output` does
/// not know by name.
const BEFORE: i32 = -101;

/// Connections of pods and of the node itself to the Service. A connection is translated once: what
/// this rule has translated, kube-proxy's rules leave alone (nftables wiki, "NAT").
fn rules() -> String {
    let rule = format!(
        "ip daddr {API_SERVICE_IP} tcp dport {API_SERVICE_PORT} dnat to {NODE_IP}:{API_PORT};"
    );
    format!(
        "table ip meshproof {{
            chain pods {{ type nat hook prerouting priority {BEFORE}; {rule} }}
            chain node {{ type nat hook output priority {BEFORE}; {rule} }}
        }}
"
    )
}

async fn links(handle: &Handle) -> Result<(), rtnetlink::Error> {
    let lo = index(handle, "lo").await?;
    handle
        .link()
        .set(LinkUnspec::new_with_index(lo).up().build())
        .execute()
        .await?;
    add(handle, lo, NODE_IP, 32).await?;
    // Programs that look for the machine's address (istioctl proxy-status does) skip loopback.
    let peer = LinkMessageBuilder::<LinkUnspec>::new()
        .name("node1".to_owned())
        .build();
    let pair = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
        .name("node0".to_owned())
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
        .up()
        .build();
    handle.link().add(pair).execute().await?;
    let node = index(handle, "node0").await?;
    add(handle, node, NODE_IP, 32).await
}

async fn add(
    handle: &Handle,
    link: u32,
    address: Ipv4Addr,
    prefix: u8,
) -> Result<(), rtnetlink::Error> {
    handle
        .address()
        .add(link, address.into(), prefix)
        .execute()
        .await
}

async fn index(handle: &Handle, name: &str) -> Result<u32, rtnetlink::Error> {
    let mut found = handle.link().get().match_name(name.to_owned()).execute();
    let link = found
        .try_next()
        .await?
        .ok_or(rtnetlink::Error::RequestFailed)?;
    Ok(link.header.index)
}
