//! Finds the components of a running Istio: its control planes and its ingress gateway.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, ResourceExt as _, api::ListParams};

use super::{
    control_plane::{ControlPlane, ControlPlanes},
    injection::revision,
    install::NAMESPACE,
};
use crate::{
    cluster::pods,
    errors::{Classified, ErrorClass},
    observe::data_plane::{Plane, envoy::Envoy},
    timeouts::timeouts,
    transport::PodDialer,
    wait::{self, Look},
};

/// Labels of istiod's pods.
pub const ISTIOD: &str = "app=istiod";
/// Labels of the ingress gateway's pods.
pub const GATEWAY: &str = "istio=ingressgateway";

/// An error finding Istio's components.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    #[error("cannot list the pods of {NAMESPACE}")]
    List { source: Box<kube::Error> },
    #[error("no ready pod {ISTIOD} in {NAMESPACE}: is Istio installed there?")]
    NoIstiod,
    #[error(
        "none of the pods {selector} in {NAMESPACE} became ready within {limit:?}: {last}; wait until they are ready, or find out why they are not: without them, scenarios would be skipped"
    )]
    NotReady {
        selector: &'static str,
        limit: Duration,
        last: String,
    },
}

impl Classified for DiscoveryError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::List { source } => source.class(),
            Self::NoIstiod | Self::NotReady { .. } => ErrorClass::Mesh,
        }
    }
}

/// The components of the mesh.
#[derive(Debug, Clone)]
pub struct IstioEndpoints {
    /// A ready istiod of each revision.
    pub control_planes: ControlPlanes,
    /// Proxies of the ingress gateway. Empty if the mesh has no such gateway.
    pub gateways: Vec<Plane>,
}

/// Finds ready pods of istiod and of the ingress gateway.
///
/// # Errors
/// [`DiscoveryError`].
pub async fn find(client: &Client, dial: &PodDialer) -> Result<IstioEndpoints, DiscoveryError> {
    let limit = timeouts().mesh.ready;
    let istiod = ready(client, ISTIOD, limit).await?;
    let gateways = ready(client, GATEWAY, limit).await?;
    let istiod = istiod.iter().map(|pod| ControlPlane::of(dial, pod));
    Ok(IstioEndpoints {
        control_planes: ControlPlanes::new(istiod.collect()).ok_or(DiscoveryError::NoIstiod)?,
        gateways: gateways
            .iter()
            .map(|pod| Envoy::of(dial, (NAMESPACE, &pod.name_any()), &revision(pod), true))
            .collect(),
    })
}

/// The ready pods; empty if there are no such pods at all. Pods that exist but are not ready are
/// waited for, because the capability that they provide is not missing and must not be skipped.
async fn ready(
    client: &Client,
    selector: &'static str,
    limit: Duration,
) -> Result<Vec<Pod>, DiscoveryError> {
    let api: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let waited = wait::until(limit, async |_| any_ready(&api, selector).await);
    waited.await.map_err(|error| {
        error.or_late(|late| DiscoveryError::NotReady {
            selector,
            limit,
            last: late.last_seen,
        })
    })
}

/// Whether some pod is ready, or none exists.
async fn any_ready(api: &Api<Pod>, selector: &str) -> Result<Look<Vec<Pod>>, DiscoveryError> {
    let list = api.list(&ListParams::default().labels(selector)).await;
    let list = list.map_err(|source| DiscoveryError::List {
        source: Box::new(source),
    });
    let mut pods = list?.items;
    pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
    let ready = pods.iter().filter(|pod| pods::is_ready(pod));
    let ready: Vec<Pod> = ready.cloned().collect();
    Ok(if !ready.is_empty() || pods.is_empty() {
        Look::Met(ready)
    } else {
        Look::Unmet(pods::brief(&pods))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::fake::Fake;

    /// An API server with an istiod pod for each element, which is its Ready status.
    fn server(ready: &[&str]) -> kube::Client {
        let fake = Fake::default();
        for (number, ready) in ready.iter().enumerate() {
            let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/istiod-{number}");
            fake.put(
                &path,
                json!({"metadata": {"labels": {"app": "istiod"}},
                    "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}}),
            );
        }
        fake.client()
    }

    #[tokio::test]
    async fn pods_that_are_there_and_not_ready_are_waited_for_and_told() {
        let found = async |pods: &[&str]| {
            let found = ready(&server(pods), ISTIOD, Duration::from_millis(100)).await;
            found.map(|pods| pods.iter().map(|pod| pod.name_any()).collect::<Vec<_>>())
        };
        assert_eq!(found(&[]).await.unwrap(), [""; 0]);
        assert_eq!(found(&["False", "True"]).await.unwrap(), ["istiod-1"]);
        let error = found(&["False"]).await.unwrap_err();
        let message = "none of the pods app=istiod in istio-system became ready within 100ms";
        assert!(error.to_string().starts_with(message), "{error}");
    }
}
