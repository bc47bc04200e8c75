//! The epoch marker of a namespace: configuration whose arrival at a proxy proves that
//! everything applied before it has arrived too.
//!
//! Istio builds each push from one snapshot of all its configuration
//! (pilot/pkg/model/push_context.go). Once istiod has stored the objects of an apply, a marker
//! written afterwards can only be in pushes that include these objects. The marker is a
//! VirtualService whose route name contains the epoch. It is sent in RDS, like the routes under
//! test, which is the last type in a push. So when a proxy shows it, its listeners, clusters and
//! routes are there.
//!
//! A `Sidecar` limits the hosts that a proxy knows, and so may hide the marker's host. Where
//! there is one, the same route name is put into a route configuration that no `Sidecar` affects:
//! an `EnvoyFilter` adds an unreachable listener, whose route configuration istiod generates for
//! every sidecar of the namespace, and a virtual host in it. istiod pushes to every proxy of a
//! namespace when one of its `EnvoyFilter`s changes (`clusterScopedKnownConfigTypes`,
//! pilot/pkg/model/sidecar.go), and in the same order of types, so the above still holds. The
//! `EnvoyFilter` is not used elsewhere, because it causes a full push: a mesh that omits
//! something from an incremental push would go undetected.

use serde_json::{Value, json};

use crate::mesh::istio::install::NAMESPACE as MESH_NAMESPACE;
use crate::observe::data_plane::Mark;

/// Port of the marker's host. Proxies keep one route configuration for each port, named after it.
pub const PORT: u16 = 15998;
/// Port of the marker that no `Sidecar` hides.
const UNHIDDEN: u16 = 15997;
/// Regular expression that matches the names of both route configurations.
const ROUTES: &str = "1599[78]";
/// Name of the marker objects in every namespace.
pub const NAME: &str = "meshproof-epoch";

/// Host of the span collector (`fixtures/mesh/istio.yaml`, `fixtures/workloads/collector.yaml`).
pub const COLLECTOR: &str = "collector.meshproof.dev";

/// Host of a namespace's marker. It is never resolved or called.
pub fn host(namespace: &str) -> String {
    format!("epoch.{namespace}.meshproof.dev")
}

/// What to look for in a proxy's route configurations.
pub fn mark(namespace: &str) -> Mark {
    Mark {
        tables: ROUTES,
        prefix: format!("{namespace}-epoch-"),
    }
}

/// Name of the marker's route in an epoch.
pub fn route(namespace: &str, epoch: u64) -> String {
    format!("{}{epoch}", mark(namespace).prefix)
}

/// The Gateway object that makes markers visible at the ingress gateway. There is one for each
/// run, in a namespace of the run.
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

/// The host that the mesh's tracing providers name, in a namespace that always exists. It is not
/// visible from other namespaces. Each scenario that collects spans has its own entry for it.
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

/// The same for a gateway that belongs to one namespace, on a port that no scenario uses. The
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

/// The ServiceEntry for the marker's host, visible to the sidecars of its namespace and to the
/// gateway.
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

/// The marker of an epoch, visible at the ingress gateway through the [`gateway`] object in the
/// namespace `shared`. Its route responds directly, so it needs no backend.
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

/// The marker of an epoch for sidecars from which a `Sidecar` hides [`marker`].
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
