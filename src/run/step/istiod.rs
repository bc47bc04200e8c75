//! Restarts the control plane during a scenario.

use std::collections::BTreeSet;

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams},
};
use serde_json::Value;

use super::error::RestartError;
use crate::{
    cluster::pods,
    errors::chain,
    mesh::istio::{
        control_plane::ControlPlane, discovery::ISTIOD, injection::revision, install::NAMESPACE,
    },
    observe::data_plane::Plane,
    run::context::RunContext,
    timeouts::timeouts,
    transport::http::PodPort,
    wait::{self, Look},
};

/// Deletes istiod's pods, and returns when all of them are gone, new ones are ready, and these
/// proxies are connected to them.
///
/// # Errors
/// [`RestartError`], with what remains or is missing.
pub async fn restart(ctx: &RunContext, proxies: &[Plane]) -> Result<(), RestartError> {
    let api: Api<Pod> = Api::namespaced(ctx.client.clone(), NAMESPACE);
    let old = pods(&api).await?;
    for pod in &old {
        let pod = pod.name_any();
        let deleted = api.delete(&pod, &DeleteParams::default()).await;
        deleted.map_err(|error| RestartError::Istiod(Box::new(error)))?;
    }
    let limit = timeouts().mesh.restart;
    let waited = wait::until(limit, async |_| replaced(&api, &old).await);
    let fresh = waited.await.map_err(|error| {
        error.or_late(|late| RestartError::NoOther {
            limit,
            pods: late.last_seen,
        })
    })?;
    for pod in &fresh {
        ctx.mesh.applier.follow(ControlPlane::of(&ctx.dialer, pod));
    }
    let control_planes = ctx.mesh.applier.control_planes();
    let proxies: Vec<&Plane> = proxies.iter().collect();
    let each = control_planes.with(&proxies);
    let waits = each.map(|(one, own)| connected(&one.debug, own));
    try_join_all(waits).await.map(drop)
}

async fn pods(api: &Api<Pod>) -> Result<Vec<Pod>, RestartError> {
    let selected = ListParams::default().labels(ISTIOD);
    let listed = api.list(&selected).await;
    listed
        .map(|list| list.items)
        .map_err(|error| RestartError::Istiod(Box::new(error)))
}

/// Whether the old pods are gone and each revision has a new pod that is ready. Returns the new
/// pods.
async fn replaced(api: &Api<Pod>, old: &[Pod]) -> Result<Look<Vec<Pod>>, RestartError> {
    let now = pods(api).await?;
    let names = |pods: &[Pod]| -> Vec<String> { pods.iter().map(Pod::name_any).collect() };
    let gone = names(old);
    let mut fresh = now.clone();
    fresh.retain(|pod| !gone.contains(&pod.name_any()));
    let is_left = fresh.len() < now.len();
    fresh.retain(pods::is_ready);
    let expected: BTreeSet<String> = old.iter().map(revision).collect();
    let there: BTreeSet<String> = fresh.iter().map(revision).collect();
    Ok(match !is_left && expected.is_subset(&there) {
        true => Look::Met(fresh),
        false => Look::Unmet(names(&now).join(", ")),
    })
}

/// Waits until istiod lists all of these proxies.
async fn connected(istiod: &PodPort, proxies: Vec<&Plane>) -> Result<(), RestartError> {
    let limit = timeouts().mesh.reconnect;
    let waited = wait::until(limit, async |_| {
        Ok(match istiod.json("/debug/syncz").await {
            Ok(list) => match missing(&list, &proxies) {
                missing if missing.is_empty() => Look::Met(()),
                missing => Look::Unmet(format!("not connected: {}", missing.join(", "))),
            },
            Err(error) => Look::Unmet(chain(&error)),
        })
    });
    waited.await.map_err(|error| {
        error.or_late(|late| RestartError::Unconnected {
            limit,
            last: late.last_seen,
        })
    })
}

/// Returns the proxies that are not in a list of connections. istiod calls each `POD.NAMESPACE`.
fn missing(list: &Value, proxies: &[&Plane]) -> Vec<String> {
    let connected: BTreeSet<&str> = list
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|connection| connection["proxy"].as_str())
        .collect();
    let expected = proxies.iter().map(|proxy| proxy.id());
    expected
        .filter(|name| !connected.contains(name.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::json;

    use super::*;
    use crate::{observe::data_plane::envoy::Envoy, transport::PodDialer};

    #[test]
    fn proxies_that_are_not_connected_are_named() {
        let dial = PodDialer::node(PathBuf::new());
        let proxy = |pod: &str| Envoy::of(&dial, ("ns", pod), "default", false);
        let list = json!([{"cluster_id": "Kubernetes", "proxy": "a.ns"}, {"proxy": "b.other"}]);
        assert_eq!(missing(&list, &[&proxy("a"), &proxy("b")]), ["b.ns"]);
        assert_eq!(missing(&Value::Null, &[&proxy("a")]), ["a.ns"]);
    }
}
