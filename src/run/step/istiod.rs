//! Restarting the control plane under a running scenario.

use std::{collections::BTreeSet, time::Duration};

use http::Method;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams},
};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{
    cluster::pods,
    mesh::istio::{
        change::Proxy,
        found::{ISTIOD, ISTIOD_DEBUG_PORT},
        install::NAMESPACE,
    },
    run::context::Context,
    transport::http::Port,
};

/// How long a new istiod may take.
const DEADLINE: Duration = Duration::from_secs(120);

/// How long proxies may take to connect anew. Where kube-proxy still sends them to the old one for a moment they fail first, and Envoy
/// then waits for up to 30 s (Envoy docs: xDS, `GrpcService` retry policy of an ADS stream).
const RECONNECT: Duration = Duration::from_secs(90);

/// Deletes istiod's pods; returns when all of them are gone, another is ready, and these proxies are connected to it.
///
/// # Errors
/// In words: what is still there, or not yet.
pub async fn restart(ctx: &Context, proxies: &[Proxy]) -> Result<(), String> {
    let api: Api<Pod> = Api::namespaced(ctx.client.clone(), NAMESPACE);
    let words = |error: kube::Error| format!("istiod's pods: {error}");
    let selected = ListParams::default().labels(ISTIOD);
    let old: Vec<String> = api
        .list(&selected)
        .await
        .map_err(words)?
        .iter()
        .map(|pod| pod.name_any())
        .collect();
    for pod in &old {
        api.delete(pod, &DeleteParams::default())
            .await
            .map_err(words)?;
    }
    let deadline = Instant::now() + DEADLINE;
    loop {
        let now = api.list(&selected).await.map_err(words)?;
        let gone = now.iter().all(|pod| !old.contains(&pod.name_any()));
        let fresh = now
            .iter()
            .find(|pod| pods::is_ready(pod) && !old.contains(&pod.name_any()));
        if let Some(fresh) = fresh.filter(|_| gone) {
            let debug = ctx.port(NAMESPACE, &fresh.name_any(), ISTIOD_DEBUG_PORT);
            ctx.applier.follow(debug.clone());
            return connected(&debug, proxies).await;
        }
        if Instant::now() > deadline {
            let names: Vec<String> = now.iter().map(|pod| pod.name_any()).collect();
            return Err(format!(
                "after {DEADLINE:?} istiod's pods are {}",
                names.join(", ")
            ));
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until istiod lists every one of the proxies.
async fn connected(istiod: &Port, proxies: &[Proxy]) -> Result<(), String> {
    let deadline = Instant::now() + RECONNECT;
    loop {
        let last = match istiod.fetch(Method::GET, "/debug/syncz").await {
            Ok(body) => {
                let missing = missing(&body, proxies);
                if missing.is_empty() {
                    return Ok(());
                }
                format!("not connected: {}", missing.join(", "))
            }
            Err(error) => error.to_string(),
        };
        if Instant::now() > deadline {
            return Err(format!(
                "{RECONNECT:?} after another istiod was ready: {last}"
            ));
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// Those of the proxies that a list of connections does not name. istiod calls each `POD.NAMESPACE`.
fn missing(syncz: &[u8], proxies: &[Proxy]) -> Vec<String> {
    let list: Value = serde_json::from_slice(syncz).unwrap_or_default();
    let connected: BTreeSet<&str> = list
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|connection| connection["proxy"].as_str())
        .collect();
    let wanted = proxies
        .iter()
        .map(|proxy| format!("{}.{}", proxy.admin.pod, proxy.admin.namespace));
    wanted
        .filter(|name| !connected.contains(name.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::transport::Dial;

    #[test]
    fn proxies_that_are_not_connected_are_named() {
        let proxy = |pod: &str| Proxy {
            admin: Port {
                dial: Dial::node(PathBuf::new()),
                namespace: "ns".to_owned(),
                pod: pod.to_owned(),
                port: 15000,
            },
            gateway: false,
        };
        let list = br#"[{"cluster_id": "Kubernetes", "proxy": "a.ns"}, {"proxy": "b.other"}]"#;
        assert_eq!(missing(list, &[proxy("a"), proxy("b")]), ["b.ns"]);
        assert_eq!(missing(b"null", &[proxy("a")]), ["a.ns"]);
    }
}
