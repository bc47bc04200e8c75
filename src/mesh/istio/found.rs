//! The parts of an Istio that is up: its control plane and its ingress gateway.

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, ResourceExt as _, api::ListParams};

use super::{install::NAMESPACE, live::Proxy};
use crate::{
    cluster::pods,
    observe::{envoy::ADMIN_PORT, http::Port},
    target::Dial,
};

/// istiod's debug interface, on the pod's loopback.
pub const ISTIOD_DEBUG_PORT: u16 = 8080;
/// Labels of istiod's pods.
pub const ISTIOD: &str = "app=istiod";
/// Labels of the ingress gateway's pods.
pub const GATEWAY: &str = "istio=ingressgateway";

/// Why there is nothing to work with.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error("cannot list the pods of {NAMESPACE}: {source}")]
    List { source: Box<kube::Error> },
    #[error("no ready pod {ISTIOD} in {NAMESPACE}: is Istio installed there?")]
    NoIstiod,
}

/// Where the mesh's parts are reached.
#[derive(Debug, Clone)]
pub struct Found {
    /// The debug port of a ready istiod.
    pub istiod: Port,
    /// Proxies of the ingress gateway; none where the mesh has no such gateway.
    pub gateways: Vec<Proxy>,
}

/// Looks for ready pods of istiod and of the ingress gateway.
///
/// # Errors
/// [`FindError`].
pub async fn find(client: &Client, dial: &Dial) -> Result<Found, FindError> {
    let port = |pod: &str, port| Port {
        dial: dial.clone(),
        namespace: NAMESPACE.to_owned(),
        pod: pod.to_owned(),
        port,
    };
    let istiod = ready(client, ISTIOD).await?;
    let gateways = ready(client, GATEWAY).await?;
    Ok(Found {
        istiod: port(
            istiod.first().ok_or(FindError::NoIstiod)?,
            ISTIOD_DEBUG_PORT,
        ),
        gateways: gateways
            .iter()
            .map(|pod| Proxy {
                admin: port(pod, ADMIN_PORT),
                gateway: true,
            })
            .collect(),
    })
}

async fn ready(client: &Client, selector: &'static str) -> Result<Vec<String>, FindError> {
    let api: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let list = api.list(&ListParams::default().labels(selector)).await;
    let list = list.map_err(|source| FindError::List {
        source: Box::new(source),
    })?;
    Ok(list
        .iter()
        .filter(|pod| pods::is_ready(pod))
        .map(|pod| pod.name_any())
        .collect())
}
