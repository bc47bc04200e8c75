//! The epoch marker of a namespace: configuration whose arrival at a proxy proves that
//! everything applied before it has arrived too.
//!
//! Istio builds each push from one snapshot of all its configuration
//! (pilot/pkg/model/push_context.go). Once istiod has taken the objects of an apply into its store,
//! a marker written afterwards can only be in pushes that hold these objects. The marker is a
//! VirtualService whose route name is its epoch; it lies in the same kind of message (RDS) as
//! the routes under test, which is the last kind of a push, so when a proxy shows it, listeners,
//! clusters and routes are there.
//!
//! A `Sidecar` says which hosts a proxy is told of, and so may leave the marker's out. Where there
//! is one, the same route name is put into a route configuration that no `Sidecar` concerns: an
//! `EnvoyFilter` adds a listener that nothing reaches, whose routes istiod makes for every sidecar
//! of the namespace, and one virtual host to them. istiod pushes to every proxy of a namespace when
//! an `EnvoyFilter` of it changes (`clusterScopedKnownConfigTypes`, pilot/pkg/model/sidecar.go),
//! and in the same order of kinds, so what is said above holds. It is not written elsewhere,
//! because such a push sends everything anew: a mesh that forgets something in a smaller one would
//! not be found out.

use serde_json::{Value, json};

use crate::mesh::istio::install::NAMESPACE as MESH_NAMESPACE;
use crate::observe::data_plane::Mark;

/// Port of the marker's host: proxies keep one route configuration for each port, named by it.
pub const PORT: u16 = 15998;
/// The same for a marker that no `Sidecar` hides.
const UNHIDDEN: u16 = 15997;
/// Regular expression for the names of both route configurations.
const ROUTES: &str = "1599[78]";
/// Name of the marker objects in every namespace.
const NAME: &str = "meshproof-epoch";

/// Host of the collector of spans (`fixtures/mesh/istio.yaml`,
/// `fixtures/workloads/collector.yaml`).
pub const COLLECTOR: &str = "collector.meshproof.dev";

/// Host of the marker of a namespace; nobody resolves or calls it.
pub fn host(namespace: &str) -> String {
    format!("epoch.{namespace}.meshproof.dev")
}

/// What a proxy that has a epoch of a namespace shows.
pub fn mark(namespace: &str) -> Mark {
    Mark {
        tables: ROUTES,
        prefix: format!("{namespace}-epoch-"),
    }
}

/// Name of the marker's route in a epoch.
pub fn route(namespace: &str, epoch: u64) -> String {
    format!("{}{epoch}", mark(namespace).prefix)
}

/// The gateway entry that makes markers visible at the ingress gateway; one for each run, in a
/// namespace of the run.
pub fn gateway(namespace: &str) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "Gateway",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {
            "selector": {"istio": "ingressgateway"},
            "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*/*.meshproof.dev"]}],
        },
    })
}

/// The host that the mesh's tracing providers name, in a namespace that is always there; nobody
/// sees it from elsewhere. Each scenario that collects spans has an entry of its own for it.
pub fn collector() -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
        "metadata": {"name": "collector", "namespace": MESH_NAMESPACE},
        "spec": {
            "hosts": [COLLECTOR],
            "exportTo": ["."],
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "ports": [
                {"name": "grpc", "number": 4317, "protocol": "GRPC"},
                {"name": "http", "number": 9411, "protocol": "HTTP"},
            ],
        },
    })
}

/// The same for a gateway that belongs to one namespace, on a port that no scenario uses: the
/// gateway is selected by the label `istio: <namespace>`.
pub fn own_gateway(namespace: &str) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "Gateway",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {
            "selector": {"istio": namespace},
            "servers": [{"port": {"number": PORT, "name": "http-epoch", "protocol": "HTTP"}, "hosts": [format!("{namespace}/{}", host(namespace))]}],
        },
    })
}

/// The host of the marker: known to the sidecars of its own namespace and to the gateway.
pub fn entry(namespace: &str) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {
            "hosts": [host(namespace)],
            "exportTo": ["."],
            "location": "MESH_EXTERNAL",
            "resolution": "NONE",
            "ports": [{"number": PORT, "name": "http", "protocol": "HTTP"}],
        },
    })
}

/// The marker in a epoch, seen at the ingress gateway through the [`gateway`] entry in the
/// namespace `shared`. Its route answers by itself, so it needs no backend.
pub fn marker(namespace: &str, shared: &str, epoch: u64) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {
            "hosts": [host(namespace)],
            "gateways": ["mesh", format!("{shared}/{NAME}"), format!("{namespace}/{NAME}")],
            "exportTo": [".", MESH_NAMESPACE],
            "http": [{"name": route(namespace, epoch), "directResponse": {"status": 204}}],
        },
    })
}

/// The marker in a epoch for sidecars that a `Sidecar` keeps from seeing [`marker`].
pub fn unhidden(namespace: &str, epoch: u64) -> Value {
    let types = "type.googleapis.com/envoy.extensions.filters";
    let router = json!({"name": "envoy.filters.http.router", "typed_config": {"@type": format!("{types}.http.router.v3.Router")}});
    let manager = json!({
        "@type": format!("{types}.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": NAME,
        "rds": {
            "config_source": {"ads": {}, "resource_api_version": "V3"},
            "route_config_name": UNHIDDEN.to_string(),
        },
        "http_filters": [router],
    });
    let listener = json!({
        "name": NAME,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": UNHIDDEN}},
        "bind_to_port": false,
        "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}],
    });
    let host = json!({
        "name": host(namespace), "domains": [host(namespace)],
        "routes": [{"name": route(namespace, epoch), "match": {"prefix": "/"}, "direct_response": {"status": 204}}],
    });
    let outbound = "SIDECAR_OUTBOUND";
    json!({
        "apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {"configPatches": [
            {"applyTo": "LISTENER", "match": {"context": outbound}, "patch": {"operation": "ADD", "value": listener}},
            {
                "applyTo": "VIRTUAL_HOST",
                "match": {"context": outbound, "routeConfiguration": {"name": UNHIDDEN.to_string()}},
                "patch": {"operation": "ADD", "value": host},
            },
        ]},
    })
}
