//! Gateway API in Istio: its CRDs, the shared Gateway, and whether istiod accepted an object.
//!
//! istiod converts Gateway API routes into VirtualServices in memory, and reports the result in
//! the status of the object. It computes the status together with the conversion and writes it
//! through the API server. So a status for the latest generation means that the conversion is
//! done, and every push with a marker written afterwards (`marker`) includes it.

use std::path::Path;

use kube::Client;
use serde_json::{Value, json};

use crate::cluster::object::{self, Written};
use crate::mesh::istio::install::{GATEWAY, InstallError, NAMESPACE, documents};

/// API group of gateways and routes.
pub const GROUP: &str = "gateway.networking.k8s.io";
/// Name of the Gateway in the mesh's root namespace that represents the ingress gateway. Routes
/// of every namespace may attach to it.
pub const SHARED: &str = "ingressgateway";
/// Annotation of an object under test: a condition that must be reported with this status instead
/// of `True`, e.g. `ResolvedRefs=False` for a route whose backend does not exist.
pub const CONDITION: &str = "meshproof.dev/condition";
/// istiod's controller name in statuses (`PILOT_GATEWAY_API_CONTROLLER_NAME`).
const CONTROLLER: &str = "istio.io/gateway-controller";
/// The kinds that scenarios use. istiod starts to watch each as soon as its CRD exists.
const KINDS: [&str; 5] = [
    "gatewayclasses",
    "gateways",
    "grpcroutes",
    "httproutes",
    "referencegrants",
];

/// Applies the CRDs from a directory of the tool chain, and the shared Gateway as soon as its
/// kind is served.
///
/// # Errors
/// A file is missing, or the API server rejects an object.
pub async fn install(client: &Client, folder: &Path) -> Result<(), InstallError> {
    for kind in KINDS {
        let path = folder.join(format!("{GROUP}_{kind}.yaml"));
        let text = std::fs::read_to_string(&path)
            .map_err(|error| InstallError::Manifests(format!("{}: {error}", path.display())))?;
        for crd in documents(&text)? {
            object::install(client, &crd, None).await?;
        }
    }
    Ok(object::install_once_served(client, &shared(), Some(NAMESPACE)).await?)
}

/// A Gateway whose proxy is the existing ingress gateway (Istio's "manual deployment": an address
/// of type `Hostname` names its Service). For a Gateway without an address, istiod would deploy
/// another proxy.
pub fn shared() -> Value {
    json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "Gateway",
        "metadata": {"name": SHARED, "namespace": NAMESPACE},
        "spec": {
            "gatewayClassName": "istio",
            "addresses": [{"type": "Hostname", "value": format!("{GATEWAY}.{NAMESPACE}.svc.cluster.local")}],
            "listeners": [{
                "name": "http", "port": 80, "protocol": "HTTP", "hostname": "*.example.test",
                "allowedRoutes": {"namespaces": {"from": "All"}},
            }],
        },
    })
}

/// Name of a Gateway for which istiod deploys a proxy: one without an address.
pub fn deployed(object: &Value) -> Option<&str> {
    let version = object["apiVersion"].as_str()?;
    let ours = version.starts_with(GROUP) && object["kind"] == "Gateway";
    let own = object.pointer("/spec/addresses").is_none();
    (ours && own)
        .then(|| object["metadata"]["name"].as_str())
        .flatten()
}

/// The object with labels for the pods that istiod deploys for it. Other objects are returned
/// unchanged.
#[must_use]
pub fn with_pod_labels(mut object: Value, labels: &[(&str, &str)]) -> Value {
    if deployed(&object).is_some() {
        for (key, value) in labels {
            object["spec"]["infrastructure"]["labels"][*key] = json!(value);
        }
    }
    object
}

/// istiod's progress with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acceptance {
    /// The status is as expected.
    Done,
    /// There is no status for this generation yet.
    Pending(String),
    /// The status differs, with istiod's message.
    Refused(String),
}

/// The status of the latest generation in the store's copy of an object. Objects of other kinds
/// are done as soon as they are stored.
pub fn progress(config: &Value) -> Acceptance {
    let expected: &[&str] = match config["kind"].as_str() {
        Some("GRPCRoute" | "HTTPRoute") => &["Accepted", "ResolvedRefs"],
        Some("Gateway") => &["Accepted", "Programmed"],
        _ => return Acceptance::Done,
    };
    let holders: Vec<&Value> = match config.pointer("/spec/parentRefs") {
        Some(Value::Array(parents)) => {
            let answer = config.pointer("/status/parents").and_then(Value::as_array);
            let answer = answer.into_iter().flatten();
            let ours = answer.filter(|parent| parent["controllerName"] == CONTROLLER);
            let ours: Vec<&Value> = ours.collect();
            if ours.len() < parents.len() {
                return Acceptance::Pending(format!(
                    "a status for {} of {} parents",
                    ours.len(),
                    parents.len()
                ));
            }
            ours
        }
        _ => vec![&config["status"]],
    };
    let all = holders.iter().flat_map(|holder| {
        expected
            .iter()
            .map(|kind| condition(config, &holder["conditions"], kind))
    });
    let mut worst = Acceptance::Done;
    for one in all {
        match one {
            Acceptance::Done => {}
            Acceptance::Refused(message) => return Acceptance::Refused(message),
            pending => worst = pending,
        }
    }
    worst
}

fn condition(config: &Value, conditions: &Value, kind: &str) -> Acceptance {
    let generation = config.pointer("/metadata/generation");
    let annotations = &config["metadata"]["annotations"];
    let expected = annotations[CONDITION]
        .as_str()
        .and_then(|text| text.split_once('='))
        .filter(|(other, _)| *other == kind)
        .map_or("True", |(_, status)| status);
    let found = conditions.as_array().into_iter().flatten();
    let mut found = found.filter(|condition| condition["type"] == kind);
    let Some(condition) = found.next() else {
        return Acceptance::Pending(format!("no condition {kind}"));
    };
    if condition.get("observedGeneration") != generation {
        return Acceptance::Pending(format!("condition {kind} of an older generation"));
    }
    if condition["status"] == expected {
        return Acceptance::Done;
    }
    let text = |key: &str| condition[key].as_str().unwrap_or_default().to_owned();
    Acceptance::Refused(format!(
        "{kind} is {} ({}): {}",
        text("status"),
        text("reason"),
        text("message")
    ))
}

/// Whether the store still has a VirtualService that istiod converted from this route.
pub fn lingers(store: &Value, route: &Written) -> bool {
    let from = format!(
        "{}/{}.{}",
        route.kind,
        route.name,
        route.namespace.as_deref().unwrap_or_default()
    );
    let parents = |config: &Value| {
        let annotations = &config["metadata"]["annotations"];
        let parents = annotations["internal.istio.io/parents"].as_str()?;
        Some(parents.split(',').any(|parent| parent == from))
    };
    let configs = store.as_array().into_iter().flatten();
    configs
        .filter(|config| config["kind"] == "VirtualService")
        .any(|config| parents(config).unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(annotation: Option<&str>, generation: u64, resolved: &str) -> Value {
        let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "observedGeneration": generation, "reason": "R", "message": "m"});
        let annotations = annotation.map_or(json!({}), |text| json!({CONDITION: text}));
        json!({
            "kind": "GRPCRoute",
            "metadata": {"generation": 2, "annotations": annotations},
            "spec": {"parentRefs": [{"name": "p"}]},
            "status": {"parents": [{"controllerName": CONTROLLER, "conditions": [
                condition("Accepted", "True"), condition("ResolvedRefs", resolved)]}]},
        })
    }

    #[test]
    fn a_route_is_done_when_its_newest_generation_is_accepted() {
        assert_eq!(progress(&route(None, 2, "True")), Acceptance::Done);
        assert!(matches!(
            progress(&route(None, 1, "True")),
            Acceptance::Pending(_)
        ));
        let mut silent = route(None, 2, "True");
        silent["status"] = json!({});
        assert!(matches!(progress(&silent), Acceptance::Pending(_)));
    }

    #[test]
    fn a_refusal_has_the_controllers_words_unless_it_was_wanted() {
        let message = Acceptance::Refused("ResolvedRefs is False (R): m".into());
        assert_eq!(progress(&route(None, 2, "False")), message);
        let expected = Some("ResolvedRefs=False");
        assert_eq!(progress(&route(expected, 2, "False")), Acceptance::Done);
        assert!(matches!(
            progress(&route(expected, 2, "True")),
            Acceptance::Refused(_)
        ));
    }

    #[test]
    fn only_a_gateway_without_an_address_gets_a_proxy_and_labels_for_it() {
        let gateway = |spec: Value| json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "x"}, "spec": spec});
        let own = gateway(json!({"listeners": []}));
        let label = "/spec/infrastructure/labels/a";
        assert_eq!(deployed(&own), Some("x"));
        assert_eq!(
            with_pod_labels(own, &[("a", "b")]).pointer(label),
            Some(&json!("b"))
        );
        let shared = gateway(json!({"addresses": [{"value": "x"}]}));
        assert_eq!(with_pod_labels(shared, &[("a", "b")]).pointer(label), None);
    }

    #[test]
    fn a_deleted_route_lingers_in_what_was_made_of_it() {
        let written = Written {
            api_version: format!("{GROUP}/v1"),
            kind: "GRPCRoute".into(),
            namespace: Some("a".into()),
            name: "x".into(),
            ..Written::default()
        };
        let made = |parents: &str| json!([{"kind": "VirtualService", "metadata": {"annotations": {"internal.istio.io/parents": parents}}}]);
        assert!(lingers(&made("HTTPRoute/x.a,GRPCRoute/x.a"), &written));
        assert!(!lingers(&made("GRPCRoute/x.ab"), &written));
        assert!(!lingers(&json!([]), &written));
    }
}
