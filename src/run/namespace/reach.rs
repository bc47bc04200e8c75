//! The plain path: before anything is judged, waits until callers without a proxy can reach every
//! Service of the namespace.
//!
//! The configuration of proxies is awaited elsewhere (`mesh::istio::propagation`). A caller
//! without a proxy uses the cluster's own network, which knows a Service some time after its pods
//! are ready. Until then connections are refused, and those to a pod that is gone are lost.
//! Neither is caused by the mesh. So two conditions are awaited: the API's EndpointSlices name
//! exactly the ready pods, and the caller can connect to each port of each Service.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use k8s_openapi::api::{
    core::v1::{Pod, Service},
    discovery::v1::EndpointSlice,
};
use kube::{Api, ResourceExt as _, api::ListParams};

use super::{error::ReachError, scenario_namespace::ScenarioNamespace};
use crate::{
    cluster::pods,
    errors::chain,
    observe::testbed as bed,
    run::context::RunContext,
    timeouts::timeouts,
    transport::http::PodPort,
    wait::{self, Look},
};

/// Paths that are tried in parallel. On a remote cluster, each request to a control port takes a
/// connection through the API server.
const SIDE_BY_SIDE: usize = 4;
/// Label by which a slice names its Service (Kubernetes, "EndpointSlices", Ownership).
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Probability that all connections miss an address that is gone but still in the rules. Each
/// connection picks an address at random (kube-proxy: "random" of nftables and "statistic" of
/// iptables).
const MISSED: f64 = 1e-6;

/// A port of a Service and its endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Way {
    /// `host:port` as a client in the namespace writes it.
    name: String,
    /// `host:port` by cluster IP. `None` if the name resolves to the pods themselves.
    address: Option<String>,
    /// `address:port` of the ready endpoints.
    endpoints: Vec<String>,
}

/// Waits until every plain caller of the namespace reaches every Service in it. Returns at once
/// if there is no such caller.
///
/// # Errors
/// [`ReachError`], with what was missing last.
pub async fn await_plain(ctx: &RunContext, ns: &ScenarioNamespace) -> Result<(), ReachError> {
    let callers = ns.plain_callers(ctx);
    if callers.is_empty() {
        return Ok(());
    }
    let limit = timeouts().pods.plain_network;
    let waited = wait::until(limit, async |_| {
        let missing = missing(ctx, ns, &callers).await?;
        Ok(missing.map_or(Look::Met(()), Look::Unmet))
    });
    waited.await.map_err(|error| {
        error.or_late(|late| ReachError::Never {
            seconds: late.waited.as_secs_f64(),
            last: late.last_seen,
        })
    })
}

/// Returns a message about the first condition that does not hold yet.
async fn missing(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    callers: &[PodPort],
) -> Result<Option<String>, ReachError> {
    let services: Vec<Service> = list(ctx, &ns.name, "Services").await?;
    let slices: Vec<EndpointSlice> = list(ctx, &ns.name, "EndpointSlices").await?;
    let pods = ctx.pods.of(&ns.name);
    if let Some(message) = unsettled(&services, &slices, &pods) {
        return Ok(Some(message));
    }
    let ways = ways(&services, &slices);
    let pairs = callers
        .iter()
        .flat_map(|caller| ways.iter().map(move |way| (caller, way)));
    let pairs: Vec<(&PodPort, &Way)> = pairs.collect();
    for some in pairs.chunks(SIDE_BY_SIDE) {
        let asked = join_all(some.iter().map(|(caller, way)| closed(caller, way))).await;
        let first = some
            .iter()
            .zip(asked)
            .find_map(|(pair, message)| Some((pair, message?)));
        if let Some(((caller, way), message)) = first {
            return Ok(Some(format!(
                "{} was never reachable over the plain network from pod {}: {message}",
                way.name, caller.pod
            )));
        }
    }
    Ok(None)
}

async fn list<K>(
    ctx: &RunContext,
    namespace: &str,
    what: &'static str,
) -> Result<Vec<K>, ReachError>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
    K::DynamicType: Default,
{
    let api: Api<K> = Api::namespaced(ctx.client.clone(), namespace);
    let all = api.list(&ListParams::default()).await;
    all.map(|all| all.items).map_err(|error| ReachError::List {
        what,
        error: Box::new(error),
    })
}

/// Returns why a path is not as reachable as its endpoints are. `None`: it is.
async fn closed(caller: &PodPort, way: &Way) -> Option<String> {
    let Some(address) = &way.address else {
        return by_name(caller, way).await;
    };
    let found = match bed::reach(caller, address, connections(way.endpoints.len())).await {
        Ok(found) => found,
        Err(error) => return Some(chain(&error)),
    };
    match found.error {
        None if way.endpoints.is_empty() => {
            Some("connections succeed although it has no endpoint".to_owned())
        }
        Some(_) if way.endpoints.is_empty() => None,
        None => by_name(caller, way).await,
        Some(message) => {
            let direct = join_all(way.endpoints.iter().map(|one| bed::reach(caller, one, 1))).await;
            let open = direct.iter().flatten().filter(|one| one.made > 0).count();
            // If no endpoint accepts connections, neither does the Service. If some do, some
            // connections to the Service succeed.
            let settled = open == 0 || (open < way.endpoints.len() && found.made > 0);
            (!settled).then_some(message)
        }
    }
}

/// Connects by the name that clients use, so that the cluster's DNS is checked as well.
async fn by_name(caller: &PodPort, way: &Way) -> Option<String> {
    if way.endpoints.is_empty() {
        return None;
    }
    match bed::reach(caller, &way.name, 1).await {
        Ok(found) => found.error,
        Err(error) => Some(chain(&error)),
    }
}

/// Returns how many connections meet an address in addition to the `endpoints`, except with the
/// probability [`MISSED`].
fn connections(endpoints: usize) -> u64 {
    if endpoints == 0 {
        return 1;
    }
    let part = 1.0 / (endpoints as f64 + 1.0);
    (MISSED.ln() / (1.0 - part).ln()).ceil() as u64
}

/// Returns a message about the first Service whose slices do not name exactly its ready pods.
fn unsettled(services: &[Service], slices: &[EndpointSlice], pods: &[Pod]) -> Option<String> {
    services.iter().find_map(|service| {
        let spec = service.spec.as_ref()?;
        if spec.publish_not_ready_addresses == Some(true) {
            return None;
        }
        let selector = spec.selector.as_ref().filter(|all| !all.is_empty())?;
        let expected = behind(selector, pods);
        let named: BTreeSet<String> = of(service, slices).flat_map(addresses).collect();
        // A pod has an address of each family. A Service may have only one family.
        let each = expected.iter().all(|pod| !pod.is_disjoint(&named));
        let only = named
            .iter()
            .all(|address| expected.iter().any(|pod| pod.contains(address)));
        let parts = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(", ");
        (!each || !only).then(|| {
            let pods = expected.into_iter().flatten().collect();
            format!(
                "Service {} has the endpoints [{}], its ready pods are [{}]",
                service.name_any(),
                parts(&named),
                parts(&pods)
            )
        })
    })
}

/// Returns the addresses of each ready pod that a selector matches.
fn behind(selector: &BTreeMap<String, String>, pods: &[Pod]) -> Vec<BTreeSet<String>> {
    let chosen = pods.iter().filter(|pod| {
        let has = |(key, value): (&String, &String)| pods::label(pod, key) == Some(value);
        pods::is_ready(pod) && selector.iter().all(has)
    });
    let addresses = |pod: &Pod| {
        let status = pod.status.iter();
        let all = status.flat_map(|status| {
            let others = status.pod_ips.iter().flatten().map(|one| one.ip.clone());
            status.pod_ip.iter().cloned().chain(others)
        });
        all.collect()
    };
    chosen.map(addresses).collect()
}

fn of<'a>(
    service: &Service,
    slices: &'a [EndpointSlice],
) -> impl Iterator<Item = &'a EndpointSlice> {
    let name = service.name_any();
    slices
        .iter()
        .filter(move |slice| slice.labels().get(SERVICE_NAME) == Some(&name))
}

/// Returns the addresses of ready endpoints.
fn addresses(slice: &EndpointSlice) -> Vec<String> {
    let ready = slice.endpoints.iter().flatten().filter(|endpoint| {
        let conditions = endpoint.conditions.as_ref();
        conditions.is_none_or(|conditions| conditions.ready != Some(false))
    });
    let first = ready.filter_map(|endpoint| endpoint.addresses.first().cloned());
    first.collect()
}

/// Returns every TCP port of every Service that the cluster itself routes to pods.
fn ways(services: &[Service], slices: &[EndpointSlice]) -> Vec<Way> {
    let inside = services.iter().filter_map(|service| {
        let spec = service.spec.as_ref()?;
        (spec.type_.as_deref() != Some("ExternalName")).then_some((service, spec))
    });
    let each = inside.flat_map(|(service, spec)| {
        let ports = spec.ports.iter().flatten();
        let tcp = ports.filter(|port| port.protocol.as_deref().is_none_or(|name| name == "TCP"));
        tcp.map(move |port| {
            let (name, address) = (service.name_any(), spec.cluster_ip.clone());
            let address = address.filter(|address| address != "None" && !address.is_empty());
            let endpoints = endpoints(service, port.name.as_deref(), slices);
            let behind = endpoints.first().and_then(|one| one.rsplit_once(':'));
            // The name of a headless Service resolves to its pods, whose ports a client has to
            // know.
            let number = match (&address, behind) {
                (None, Some((_, number))) => number.to_owned(),
                _ => port.port.to_string(),
            };
            Way {
                name: format!("{name}:{number}"),
                address: address.map(|address| format!("{}:{}", bracketed(&address), port.port)),
                endpoints,
            }
        })
    });
    each.collect()
}

/// Returns `address:port` of the ready endpoints behind the port with this name.
fn endpoints(service: &Service, port: Option<&str>, slices: &[EndpointSlice]) -> Vec<String> {
    let each = of(service, slices).flat_map(|slice| {
        let ports = slice.ports.iter().flatten();
        let same = ports.filter(move |other| {
            other.name.as_deref().unwrap_or_default() == port.unwrap_or_default()
        });
        let numbers: Vec<i32> = same.filter_map(|port| port.port).collect();
        let all = addresses(slice).into_iter();
        all.flat_map(move |address| {
            let with = |number: &i32| format!("{}:{number}", bracketed(&address));
            numbers.iter().map(with).collect::<Vec<_>>()
        })
    });
    let all: BTreeSet<String> = each.collect();
    all.into_iter().collect()
}

/// Puts an IPv6 address into brackets, as before a port.
fn bracketed(address: &str) -> String {
    if address.contains(':') {
        format!("[{address}]")
    } else {
        address.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service(spec: Value) -> Vec<Service> {
        let object = json!({"metadata": {"name": "greeter"}, "spec": spec});
        vec![serde_json::from_value(object).unwrap()]
    }

    /// Slices of `greeter`, one for each list of (address, ready).
    fn slices(all: &[Vec<(&str, bool)>]) -> Vec<EndpointSlice> {
        let slice = |ends: &Vec<(&str, bool)>| {
            let endpoints: Vec<Value> = ends
                .iter()
                .map(|(address, ready)| json!({"addresses": [address], "conditions": {"ready": ready}}))
                .collect();
            let object = json!({"addressType": "IPv4", "metadata": {"labels": {SERVICE_NAME: "greeter"}},
                "endpoints": endpoints, "ports": [{"name": "grpc", "port": 50051}, {"name": "", "port": 8}]});
            serde_json::from_value(object).unwrap()
        };
        all.iter().map(slice).collect()
    }

    fn pod(name: &str, address: &str, ready: bool) -> Pod {
        let ready = if ready { "True" } else { "False" };
        let object = json!({"metadata": {"name": name, "labels": {"app": "greeter"}},
            "status": {"podIP": address, "conditions": [{"type": "Ready", "status": ready}]}});
        serde_json::from_value(object).unwrap()
    }

    #[rstest::rstest]
    #[case::all_named(vec![vec![("10.0.0.1", true), ("10.0.0.2", true)]], None)]
    #[case::over_two_slices(vec![vec![("10.0.0.1", true)], vec![("10.0.0.2", true)]], None)]
    #[case::one_is_missing(vec![vec![("10.0.0.1", true)]], Some("[10.0.0.1], its ready pods are [10.0.0.1, 10.0.0.2]"))]
    #[case::one_not_yet(vec![vec![("10.0.0.1", true), ("10.0.0.2", false)]], Some("[10.0.0.1], its"))]
    #[case::one_is_gone(vec![vec![("10.0.0.1", true), ("10.0.0.2", true), ("10.0.0.9", true)]], Some("10.0.0.9], its"))]
    fn slices_name_exactly_the_ready_pods(
        #[case] all: Vec<Vec<(&str, bool)>>,
        #[case] message: Option<&str>,
    ) {
        let pods = [
            pod("a", "10.0.0.1", true),
            pod("b", "10.0.0.2", true),
            pod("c", "10.0.0.3", false),
        ];
        let services = service(json!({"selector": {"app": "greeter"}}));
        let found = unsettled(&services, &slices(&all), &pods);
        match message {
            None => assert_eq!(found, None),
            Some(message) => assert!(found.as_ref().unwrap().contains(message), "{found:?}"),
        }
        let published =
            service(json!({"selector": {"app": "greeter"}, "publishNotReadyAddresses": true}));
        assert_eq!(unsettled(&published, &slices(&all), &pods), None);
    }

    #[test]
    fn every_tcp_port_is_a_way() {
        let all = slices(&[vec![("10.0.0.1", true)]]);
        let ports = json!([{"name": "grpc", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"},
            {"port": 9}]);
        let found = ways(
            &service(json!({"clusterIP": "10.96.0.7", "ports": ports})),
            &all,
        );
        let way = |name: &str, address: Option<&str>, end: &str| Way {
            name: name.to_owned(),
            address: address.map(str::to_owned),
            endpoints: vec![end.to_owned()],
        };
        assert_eq!(
            found,
            [
                way("greeter:80", Some("10.96.0.7:80"), "10.0.0.1:50051"),
                way("greeter:9", Some("10.96.0.7:9"), "10.0.0.1:8")
            ]
        );
        let headless = json!({"clusterIP": "None", "ports": [{"name": "grpc", "port": 80}]});
        assert_eq!(
            ways(&service(headless), &all),
            [way("greeter:50051", None, "10.0.0.1:50051")]
        );
        let outside = json!({"type": "ExternalName", "ports": [{"port": 80}]});
        assert_eq!(ways(&service(outside), &all), []);
    }

    #[test]
    fn so_many_connections_meet_an_address_that_is_gone() {
        assert_eq!(connections(0), 1);
        for (endpoints, expected) in [(1, 20), (2, 35), (5, 76)] {
            assert_eq!(connections(endpoints), expected);
            let missed = (endpoints as f64 / (endpoints as f64 + 1.0)).powf(expected as f64);
            assert!(missed <= MISSED && missed * 3.0 > MISSED, "{missed}");
        }
    }
}
