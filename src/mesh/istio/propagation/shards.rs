//! Checks whether istiod has processed Services and pods, in its own registry and not in what it
//! computes from it for a proxy.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::Arc,
};

use futures::future::try_join_all;
use kube::Client;
use serde_json::Value;

use super::{
    change::PropagationError,
    endpoints::{EndpointsError, Withheld},
};
use crate::mesh::istio::control_plane::{ControlPlane, ControlPlanes};
use crate::{
    cluster::object,
    observe::data_plane::spec::Addresses,
    timeouts::timeouts,
    transport::http::{HttpError, PodPort},
    wait::{self, Look, WaitError},
};

/// Health of an endpoint that accepts calls, as in `/debug/endpointShardz` (istio.io/istio,
/// pilot/pkg/model, `Healthy`).
const HEALTHY: u64 = 1;

/// Waits until every control plane has exactly these addresses as healthy endpoints, for each
/// Service of the namespace.
///
/// # Errors
/// [`EndpointsError::Withheld`] if the API server's EndpointSlices had them and istiod did not.
/// [`EndpointsError::Untold`] with the last state seen if the EndpointSlices did not have them
/// either.
pub async fn await_pods(
    client: &Client,
    control_planes: &ControlPlanes,
    namespace: &str,
    expected: &BTreeMap<String, Vec<String>>,
) -> Result<(), EndpointsError> {
    if expected.is_empty() {
        return Ok(());
    }
    let each = control_planes.all();
    try_join_all(each.map(|one| await_pods_at(client, one, namespace, expected)))
        .await
        .map(drop)
}

async fn await_pods_at(
    client: &Client,
    control_plane: &ControlPlane,
    namespace: &str,
    expected: &BTreeMap<String, Vec<String>>,
) -> Result<(), EndpointsError> {
    let istiod = &control_plane.debug;
    let limit = timeouts().mesh.endpoints;
    let waited = wait::until(limit, async |_| {
        Ok::<_, Infallible>(has_pods(istiod, namespace, expected).await)
    });
    let late = match waited.await {
        Ok(()) => return Ok(()),
        Err(WaitError::Failed(never)) => match never {},
        Err(WaitError::TimedOut(late)) => late.last_seen,
    };
    let Lack {
        service,
        expected,
        seen,
        unasked,
    } = late;
    let withheld = Withheld {
        who: control_plane.name(),
        what: format!("Service {service}"),
        expected,
        seen,
        limit,
    };
    Err(blame(client, namespace, &service, withheld, unasked).await)
}

/// The first Service for which istiod's endpoints are not as expected.
struct Lack {
    service: String,
    expected: Addresses,
    seen: Addresses,
    /// The error if istiod could not be queried.
    unasked: Option<HttpError>,
}

async fn has_pods(
    istiod: &PodPort,
    namespace: &str,
    expected: &BTreeMap<String, Vec<String>>,
) -> Look<(), Lack> {
    let (shards, unasked) = match shards(istiod).await {
        Ok(shards) => (shards, None),
        Err(error) => (Value::Null, Some(error)),
    };
    match difference(&shards, namespace, expected) {
        None => Look::Met(()),
        Some((service, expected, seen)) => Look::Unmet(Lack {
            service,
            expected,
            seen,
            unasked,
        }),
    }
}

async fn shards(istiod: &PodPort) -> Result<Value, HttpError> {
    istiod.json("/debug/endpointShardz").await
}

/// istiod is at fault only if it was notified. It is notified of what is ready in the API
/// server's EndpointSlices.
async fn blame(
    client: &Client,
    namespace: &str,
    service: &str,
    withheld: Withheld,
    unasked: Option<HttpError>,
) -> EndpointsError {
    let reported =
        match object::list(client, "discovery.k8s.io/v1", "EndpointSlice", namespace).await {
            Ok(slices) => ready(&slices, service),
            Err(unlisted) => return EndpointsError::Unlisted { withheld, unlisted },
        };
    if unasked.is_none() && reported == withheld.expected {
        return EndpointsError::Withheld(withheld);
    }
    EndpointsError::Untold {
        withheld,
        reported,
        unasked,
    }
}

/// Addresses that are ready in the EndpointSlices of a Service.
fn ready(slices: &[Value], service: &str) -> Addresses {
    let label = "/metadata/labels/kubernetes.io~1service-name";
    let mine = slices
        .iter()
        .filter(|slice| slice.pointer(label).and_then(Value::as_str) == Some(service));
    let endpoints = mine
        .filter_map(|slice| slice["endpoints"].as_array())
        .flatten();
    let ready = endpoints
        .filter(|endpoint| endpoint.pointer("/conditions/ready") != Some(&Value::Bool(false)));
    let addresses = ready
        .filter_map(|endpoint| endpoint["addresses"].as_array())
        .flatten();
    addresses
        .filter_map(|address| Some(address.as_str()?.to_owned()))
        .collect()
}

fn difference(
    shards: &Value,
    namespace: &str,
    expected: &BTreeMap<String, Vec<String>>,
) -> Option<(String, Addresses, Addresses)> {
    expected.iter().find_map(|(service, addresses)| {
        let expected: Addresses = addresses.iter().cloned().collect();
        let seen = healthy(shards, service, namespace);
        (seen != expected).then(|| (service.clone(), expected, seen))
    })
}

fn healthy(shards: &Value, service: &str, namespace: &str) -> Addresses {
    let host = host(service, namespace);
    let clusters = shards[&host][namespace]["Shards"].as_object();
    let endpoints = clusters.into_iter().flat_map(|all| all.values());
    let endpoints = endpoints.filter_map(Value::as_array).flatten();
    let takes_calls = endpoints.filter(|endpoint| endpoint["HealthStatus"] == HEALTHY);
    let addresses = takes_calls.filter_map(|endpoint| endpoint["Addresses"].as_array());
    let addresses = addresses.flatten().filter_map(Value::as_str);
    addresses.map(str::to_owned).collect()
}

fn host(service: &str, namespace: &str) -> String {
    format!("{service}.{namespace}.svc.cluster.local")
}

/// Waits until istiod knows every name in `there` as a Service of the namespace, and none in
/// `gone`.
///
/// # Errors
/// [`PropagationError::NotTaken`] with the first that differs.
pub async fn await_services(
    control_planes: &ControlPlanes,
    namespace: &str,
    there: &[String],
    gone: &[String],
) -> Result<(), PropagationError> {
    if there.is_empty() && gone.is_empty() {
        return Ok(());
    }
    let limit = timeouts().mesh.push;
    let waits = control_planes.all().map(|one| async {
        let waited = wait::until(limit, async |_| {
            knows_services(&one.debug, namespace, there, gone).await
        });
        let waited = waited.await;
        waited.map_err(|error| {
            error.or_late(|late| PropagationError::NotTaken {
                missing: late.last_seen,
                limit,
            })
        })
    });
    try_join_all(waits).await.map(drop)
}

async fn knows_services(
    istiod: &PodPort,
    namespace: &str,
    there: &[String],
    gone: &[String],
) -> Result<Look<()>, PropagationError> {
    let registry = istiod.json("/debug/registryz").await;
    let known = hosts(&registry.map_err(|error| PropagationError::Istiod(Arc::new(error)))?);
    let mut late = there
        .iter()
        .filter(|name| !known.contains(&host(name, namespace)));
    let mut left = gone
        .iter()
        .filter(|name| known.contains(&host(name, namespace)));
    Ok(match (late.next(), left.next()) {
        (Some(name), _) => Look::Unmet(format!("Service {name}")),
        (None, Some(name)) => Look::Unmet(format!("the removal of Service {name}")),
        (None, None) => Look::Met(()),
    })
}

fn hosts(registry: &Value) -> BTreeSet<String> {
    let services = registry.as_array().into_iter().flatten();
    let names = services.filter_map(|service| Some(service["hostname"].as_str()?.to_owned()));
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_healthy_endpoints_of_the_namespace_count() {
        let endpoint = |ip: &str, health: u64| json!({"Addresses": [ip], "HealthStatus": health});
        let shards = json!({"greeter.a.svc.cluster.local": {"a": {"Shards": {"Kubernetes/Kubernetes":
            [endpoint("10.0.0.1", 1), endpoint("10.0.0.2", 2)]}}}});
        assert_eq!(
            healthy(&shards, "greeter", "a"),
            Addresses::from(["10.0.0.1".to_owned()])
        );
        assert!(healthy(&shards, "greeter", "b").is_empty());
        let expected = |ips: &[&str]| {
            let ips = ips.iter().map(|&ip| ip.to_owned()).collect();
            BTreeMap::from([("greeter".to_owned(), ips)])
        };
        assert!(difference(&shards, "a", &expected(&["10.0.0.1"])).is_none());
        assert!(difference(&shards, "a", &expected(&["10.0.0.1", "10.0.0.2"])).is_some());
        assert!(
            difference(&shards, "a", &expected(&[])).is_some(),
            "an extra endpoint"
        );
    }

    #[test]
    fn what_istiod_is_told_stands_in_the_slices_of_a_service() {
        let slice = |service: &str, ip: &str, ready: Value| {
            json!({"metadata": {"labels": {"kubernetes.io/service-name": service}},
                "endpoints": [{"addresses": [ip], "conditions": ready}]})
        };
        let slices = [
            slice("web", "10.0.0.1", json!({"ready": true})),
            slice("web", "10.0.0.2", json!({"ready": false})),
            slice("web", "10.0.0.3", json!({})),
            slice("other", "10.0.0.4", json!({"ready": true})),
        ];
        let expected = ["10.0.0.1", "10.0.0.3"].map(str::to_owned);
        assert_eq!(ready(&slices, "web"), Addresses::from(expected));
    }
}
