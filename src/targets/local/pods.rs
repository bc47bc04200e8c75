//! The node inside a world: its images, its place in the network, and its agent.

use std::{
    fs,
    net::SocketAddrV4,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use kube::Client;

use super::{
    node::{self, NodeConfig},
    world::spec::{
        API_SERVICE_IP, CLUSTER_DOMAIN, DNS_IP, KUBELET_PORT, NODE_IP, NODE_NAME, POD_NETWORK,
        WorldSpec,
    },
};
use crate::toolchain::{
    images::ImageStore,
    stock::{self, from_option},
};

/// Runs pods until the world ends.
///
/// # Errors
/// Words that say why the node cannot go on.
pub async fn serve(spec: &WorldSpec, client: Client) -> Result<(), String> {
    let state_dir = spec.private().join("node");
    std::fs::create_dir_all(&state_dir)
        .map_err(|error| format!("cannot create {}: {error}", state_dir.display()))?;
    let config = NodeConfig {
        client,
        node_name: NODE_NAME.to_owned(),
        node_ip: NODE_IP,
        pod_cidr: POD_NETWORK,
        api_server: SocketAddrV4::new(API_SERVICE_IP, 443),
        cluster_dns: DNS_IP,
        cluster_domain: CLUSTER_DOMAIN.to_owned(),
        state_dir,
        images: Arc::new(images(spec)?),
        // The program that runs now, even when its file is replaced by a newer build.
        self_exe: format!("/proc/{}/exe", std::process::id()).into(),
        socket: spec.node_socket(),
        machines_root: node::is_machines_root(),
        kubelet_port: KUBELET_PORT,
    };
    node::run(config, tokio_util::sync::CancellationToken::new())
        .await
        .map_err(|error| error.to_string())
}

/// A program that every user may execute: the file itself, or a copy in `private` where its mode says otherwise (it was built with a
/// narrow umask).
fn for_everybody(program: &Path, private: &Path) -> Result<PathBuf, String> {
    let say = |error: std::io::Error| format!("{}: {error}", program.display());
    let mode = fs::metadata(program).map_err(say)?.permissions().mode();
    if mode & 0o055 == 0o055 {
        return Ok(program.to_owned());
    }
    let copy = private.join(program.file_name().unwrap_or_default());
    fs::copy(program, &copy)
        .and_then(|_| fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)))
        .map_err(say)?;
    Ok(copy)
}

/// The stock images and the user's.
fn images(spec: &WorldSpec) -> Result<ImageStore, String> {
    let host = |error: std::io::Error| format!("cannot look at the host's programs: {error}");
    let bin = |name: &str| spec.bins.join(name);
    let mut store = ImageStore::new();
    store.insert(stock::pilot(&bin("pilot-discovery")));
    store.insert(
        stock::proxy(
            &bin("pilot-agent"),
            &spec.envoy,
            &spec.bootstrap_template,
            &spec.envoy_version,
        )
        .map_err(host)?,
    );
    store.insert(stock::testbed(&for_everybody(
        &spec.testbed,
        &spec.private(),
    )?));
    store.insert(stock::witness(&spec.witnesses));
    if let Some(packages) = &spec.grpcio {
        store.insert(stock::grpcio(packages).map_err(host)?);
    }
    store.insert(stock::coredns(&bin("coredns")));
    store.insert(stock::shell().map_err(host)?);
    store.alias("busybox", "local/shell:dev");
    for given in &spec.images {
        store.insert(from_option(given).map_err(|error| error.to_string())?);
    }
    Ok(store)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_its_owners_alone_is_copied() {
        let dir = tempfile::tempdir().unwrap();
        let (program, private) = (dir.path().join("testbed"), dir.path().join("private"));
        fs::create_dir(&private).unwrap();
        fs::write(&program, "x").unwrap();
        let chmod = |mode| fs::set_permissions(&program, fs::Permissions::from_mode(mode));
        chmod(0o755).unwrap();
        assert_eq!(for_everybody(&program, &private).unwrap(), program);
        for mode in [0o700, 0o750] {
            chmod(mode).unwrap();
            let copy = for_everybody(&program, &private).unwrap();
            assert_eq!(copy, private.join("testbed"));
            let copied = fs::metadata(&copy).unwrap().permissions().mode();
            assert_eq!(copied & 0o777, 0o755);
        }
    }
}
