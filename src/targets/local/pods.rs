//! The node inside a world: its images, its addresses, and its agent.

use std::{
    fs, io,
    net::SocketAddrV4,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use kube::Client;

use super::{
    node::{self, NodeConfig, NodeError},
    world::spec::{
        API_SERVICE_IP, API_SERVICE_PORT, CLUSTER_DOMAIN, DNS_IP, KUBELET_PORT, NODE_IP, NODE_NAME,
        POD_NETWORK, WorldSpec,
    },
};
use crate::toolchain::{
    images::{ImageError, ImageStore},
    stock::{self, from_option},
};

/// An error that stops the node.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("cannot create {}", .path.display())]
    Directory { path: PathBuf, source: io::Error },
    /// A program that pods run.
    #[error("{}", .path.display())]
    Program { path: PathBuf, source: io::Error },
    #[error("cannot inspect the host's programs")]
    Host(#[source] io::Error),
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error(transparent)]
    Node(#[from] NodeError),
}

/// Runs pods until the world ends.
///
/// # Errors
/// [`ServeError`], when the node fails.
pub async fn serve(spec: &WorldSpec, client: Client) -> Result<(), ServeError> {
    let state_dir = spec.private().join("node");
    fs::create_dir_all(&state_dir).map_err(|source| ServeError::Directory {
        path: state_dir.clone(),
        source,
    })?;
    let config = NodeConfig {
        client,
        node_name: NODE_NAME.to_owned(),
        node_ip: NODE_IP,
        pod_cidr: POD_NETWORK,
        api_server: SocketAddrV4::new(API_SERVICE_IP, API_SERVICE_PORT),
        cluster_dns: DNS_IP,
        cluster_domain: CLUSTER_DOMAIN.to_owned(),
        state_dir,
        images: Arc::new(images(spec)?),
        // The program that is running, even if its file is replaced by a newer build.
        self_exe: format!("/proc/{}/exe", std::process::id()).into(),
        socket: spec.node_socket(),
        machines_root: node::is_machines_root(),
        kubelet_port: KUBELET_PORT,
    };
    node::run(config, tokio_util::sync::CancellationToken::new()).await?;
    Ok(())
}

/// A program that every user may execute: the file itself, or a copy in `private` if its mode
/// does not allow that (it was built with a narrow umask).
fn for_everybody(program: &Path, private: &Path) -> Result<PathBuf, ServeError> {
    let say = |source| ServeError::Program {
        path: program.to_owned(),
        source,
    };
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
fn images(spec: &WorldSpec) -> Result<ImageStore, ServeError> {
    let host = ServeError::Host;
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
    store.insert(stock::interop(&spec.interop));
    if let Some(packages) = &spec.grpcio {
        store.insert(stock::grpcio(packages).map_err(host)?);
    }
    store.insert(stock::coredns(&bin("coredns")));
    store.insert(stock::shell().map_err(host)?);
    store.alias("busybox", "local/shell:dev");
    for given in &spec.images {
        store.insert(from_option(given)?);
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
