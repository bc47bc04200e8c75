//! "Has istiod taken these Services and pods": its own registry, not what it makes of it for a proxy.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use kube::Client;
use serde_json::Value;

use super::{
    change::LiveError,
    endpoints::{Addresses, EndpointsError, Withheld},
};
use crate::{
    cluster::object::{self, ObjectError},
    transport::http::{HttpError, Port},
    wait::Looks,
};

const DEADLINE: Duration = Duration::from_secs(20);

/// Health of an endpoint that takes calls, as `/debug/endpointShardz` writes it (istio.io/istio, pilot/pkg/model, `Healthy`).
const HEALTHY: u64 = 1;

/// Waits until istiod has exactly these addresses as healthy endpoints, by Service of the namespace.
///
/// # Errors
/// [`EndpointsError::Withheld`] when the API server's EndpointSlices had them and istiod had not, [`EndpointsError::Unknown`] with what
/// was last seen when they had not either.
pub async fn await_pods(
    client: &Client,
    istiod: &Port,
    namespace: &str,
    wanted: &BTreeMap<String, Vec<String>>,
) -> Result<(), EndpointsError> {
    if wanted.is_empty() {
        return Ok(());
    }
    let looks = Looks::within(DEADLINE);
    loop {
        let (difference, trouble) = match shards(istiod).await {
            Ok(shards) => (difference(&shards, namespace, wanted), String::new()),
            Err(error) => (
                difference(&Value::Null, namespace, wanted),
                error.to_string(),
            ),
        };
        let Some((service, wanted, seen)) = difference else {
            return Ok(());
        };
        if looks.over() {
            let withheld = Withheld {
                who: "istiod".to_owned(),
                what: format!("Service {service}"),
                wanted,
                seen,
                limit: DEADLINE,
            };
            return Err(blame(client, namespace, &service, withheld, &trouble).await);
        }
        looks.pause().await;
    }
}

async fn shards(istiod: &Port) -> Result<Value, HttpError> {
    istiod.json("/debug/endpointShardz").await
}

/// istiod is at fault only where it was told: what is ready in the API server's EndpointSlices is what istiod is told of.
async fn blame(
    client: &Client,
    namespace: &str,
    service: &str,
    withheld: Withheld,
    trouble: &str,
) -> EndpointsError {
    let told = match object::list(client, "discovery.k8s.io/v1", "EndpointSlice", namespace).await {
        Ok(slices) => ready(&slices, service),
        Err(error) => return EndpointsError::Unknown(format!("{withheld}; {error}")),
    };
    if trouble.is_empty() && told == withheld.wanted {
        return EndpointsError::Withheld(withheld);
    }
    let words = format!("{withheld}; the API server's EndpointSlices have {told:?} {trouble}");
    EndpointsError::Unknown(words)
}

/// Addresses that the EndpointSlices of a Service call ready.
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
    wanted: &BTreeMap<String, Vec<String>>,
) -> Option<(String, Addresses, Addresses)> {
    wanted.iter().find_map(|(service, addresses)| {
        let wanted: Addresses = addresses.iter().cloned().collect();
        let seen = healthy(shards, service, namespace);
        (seen != wanted).then(|| (service.clone(), wanted, seen))
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

/// Waits until istiod knows every one of `there` as a Service of the namespace, and none of `gone`.
///
/// # Errors
/// [`LiveError::NotTaken`] with the first that differs.
pub async fn await_services(
    istiod: &Port,
    namespace: &str,
    there: &[String],
    gone: &[String],
) -> Result<(), LiveError> {
    if there.is_empty() && gone.is_empty() {
        return Ok(());
    }
    let looks = Looks::within(DEADLINE);
    loop {
        let registry = istiod.json("/debug/registryz").await;
        let known = hosts(&registry.map_err(|error| LiveError::Istiod(Arc::new(error)))?);
        let late = there
            .iter()
            .find(|name| !known.contains(&host(name, namespace)));
        let left = gone
            .iter()
            .find(|name| known.contains(&host(name, namespace)));
        let missing = late.map(|name| format!("Service {name}"));
        let missing = missing.or(left.map(|name| format!("the removal of Service {name}")));
        let Some(missing) = missing else {
            return Ok(());
        };
        if looks.over() {
            return Err(LiveError::NotTaken {
                missing,
                limit: DEADLINE,
            });
        }
        looks.pause().await;
    }
}

fn hosts(registry: &Value) -> BTreeSet<String> {
    let services = registry.as_array().into_iter().flatten();
    let names = services.filter_map(|service| Some(service["hostname"].as_str()?.to_owned()));
    names.collect()
}

/// The API server has no such kind, or does not answer.
impl From<ObjectError> for EndpointsError {
    fn from(error: ObjectError) -> Self {
        Self::Unknown(error.to_string())
    }
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
        let wanted = |ips: &[&str]| {
            let ips = ips.iter().map(|&ip| ip.to_owned()).collect();
            BTreeMap::from([("greeter".to_owned(), ips)])
        };
        assert!(difference(&shards, "a", &wanted(&["10.0.0.1"])).is_none());
        assert!(difference(&shards, "a", &wanted(&["10.0.0.1", "10.0.0.2"])).is_some());
        assert!(
            difference(&shards, "a", &wanted(&[])).is_some(),
            "one too many"
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
        let wanted = ["10.0.0.1", "10.0.0.3"].map(str::to_owned);
        assert_eq!(ready(&slices, "web"), Addresses::from(wanted));
    }
}
