//! Endpoints in an Envoy dump, or in a control plane's dump of the same structure.

use serde_json::Value;

use crate::observe::data_plane::spec::{Addresses, Clusters};

/// Clusters of the Services of a namespace (`outbound|PORT|SUBSET|NAME.NAMESPACE.svc…`), from a
/// dump of Envoy or of istiod. Envoy writes field names as they are declared, istiod in JSON
/// style.
pub fn clusters(dump: &Value, namespace: &str) -> Clusters {
    let configs = dump["configs"].as_array().into_iter().flatten();
    let each = configs.filter_map(|config| {
        let assignment = config.get("endpoint_config").unwrap_or(config);
        let name = field(assignment, "cluster_name", "clusterName").as_str()?;
        let host = name.strip_prefix("outbound|")?.rsplit('|').next()?;
        host.contains(&format!(".{namespace}.svc."))
            .then(|| (name.to_owned(), addresses(assignment)))
    });
    each.collect()
}

fn addresses(assignment: &Value) -> Addresses {
    let localities = assignment["endpoints"].as_array().into_iter().flatten();
    let endpoints =
        localities.filter_map(|locality| field(locality, "lb_endpoints", "lbEndpoints").as_array());
    let healthy = endpoints.flatten().filter(|endpoint| is_healthy(endpoint));
    let sockets = healthy.map(|endpoint| {
        let address = &endpoint["endpoint"]["address"];
        field(address, "socket_address", "socketAddress")
    });
    let addresses = sockets.filter_map(|socket| {
        let port = field(socket, "port_value", "portValue").as_u64()?;
        Some(format!("{}:{port}", socket["address"].as_str()?))
    });
    addresses.collect()
}

fn field<'v>(value: &'v Value, declared: &str, json: &str) -> &'v Value {
    match &value[declared] {
        Value::Null => &value[json],
        found => found,
    }
}

/// Health as reported by the control plane. Envoy treats UNKNOWN, the default, as healthy.
fn is_healthy(endpoint: &Value) -> bool {
    let health = field(endpoint, "health_status", "healthStatus").as_str();
    matches!(health, None | Some("UNKNOWN" | "HEALTHY"))
}
