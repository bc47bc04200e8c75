//! The generation marker of a namespace: configuration whose arrival at a proxy proves that everything applied before it has
//! arrived too.
//!
//! Istio builds each push from one snapshot of all its configuration (pilot/pkg/model/push_context.go). Once istiod has taken
//! the objects of an apply into its store, a marker written afterwards can only be in pushes that hold these objects. The marker
//! is a VirtualService whose route name is its generation; it lies in the same kind of message (RDS) as the routes
//! under test, which is the last kind of a push, so when a proxy shows it, listeners, clusters and routes are there.

use serde_json::{Value, json};

use super::install::NAMESPACE as MESH_NAMESPACE;

/// Port of the marker's host: proxies keep one route configuration for each port, named by it.
pub const PORT: u16 = 15998;
/// Name of the marker objects in every namespace.
const NAME: &str = "meshproof-generation";

/// Host of the collector of spans (`fixtures/mesh/istio.yaml`, `fixtures/workloads/collector.yaml`).
pub const COLLECTOR: &str = "collector.meshproof.dev";

/// Host of the marker of a namespace; nobody resolves or calls it.
pub fn host(namespace: &str) -> String {
    format!("generation.{namespace}.meshproof.dev")
}

/// Name of the marker's route in a generation.
pub fn route(namespace: &str, generation: u64) -> String {
    format!("{namespace}-generation-{generation}")
}

/// The gateway entry that makes markers visible at the ingress gateway; one for each run, in a namespace of the run.
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

/// The host that the mesh's tracing providers name, in a namespace that is always there; nobody sees it from elsewhere. Each
/// scenario that collects spans has an entry of its own for it.
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

/// The same for a gateway that belongs to one namespace, on a port that no scenario uses: the gateway is selected by the label
/// `istio: <namespace>`.
pub fn own_gateway(namespace: &str) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "Gateway",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {
            "selector": {"istio": namespace},
            "servers": [{"port": {"number": PORT, "name": "http-generation", "protocol": "HTTP"}, "hosts": [format!("{namespace}/{}", host(namespace))]}],
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

/// The marker in a generation, seen at the ingress gateway through the [`gateway`] entry in the namespace `shared`. Its route answers
/// by itself, so it needs no backend.
pub fn marker(namespace: &str, shared: &str, generation: u64) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {
            "hosts": [host(namespace)],
            "gateways": ["mesh", format!("{shared}/{NAME}"), format!("{namespace}/{NAME}")],
            "exportTo": [".", MESH_NAMESPACE],
            "http": [{"name": route(namespace, generation), "directResponse": {"status": 204}}],
        },
    })
}
