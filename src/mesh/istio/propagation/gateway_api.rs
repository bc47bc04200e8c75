//! Gateway API in Istio: its CRDs, the shared Gateway, and whether istiod accepted an object.
//!
//! istiod turns routes of Gateway API into VirtualServices of its own, in memory, and reports what
//! became of an object in its status. The status is computed together with the conversion and comes
//! back through the API server, so a status for the newest generation says that the conversion has
//! happened: a marker written afterwards (`marker`) is in no push without it.

use std::path::Path;

use kube::Client;
use serde_json::{Value, json};

use crate::mesh::istio::install::{GATEWAY, InstallError, NAMESPACE, documents};
use crate::{
    cluster::object::{self, ObjectError, Written},
    timeouts::timeouts,
    wait::{self, Look},
};

/// API group of gateways and routes.
pub const GROUP: &str = "gateway.networking.k8s.io";
/// Name of the Gateway in the mesh's own namespace that stands for the ingress gateway; routes of
/// every namespace may attach.
pub const SHARED: &str = "ingressgateway";
/// Annotation of an object under test: a condition that is to be reported in this way instead of
/// `True`, e.g. `ResolvedRefs=False` for a route whose backend does not exist.
pub const CONDITION: &str = "meshproof.dev/condition";
/// istiod's name in statuses (`PILOT_GATEWAY_API_CONTROLLER_NAME`).
const CONTROLLER: &str = "istio.io/gateway-controller";
/// The kinds that scenarios use; istiod takes up each as soon as its CRD is there.
const KINDS: [&str; 5] = [
    "gatewayclasses",
    "gateways",
    "grpcroutes",
    "httproutes",
    "referencegrants",
];

/// Applies the CRDs out of a folder of the tool chain, and the shared Gateway as soon as its kind
/// is served.
///
/// # Errors
/// A file that is missing, or an API server that refuses.
pub async fn install(client: &Client, folder: &Path) -> Result<(), InstallError> {
    for kind in KINDS {
        let path = folder.join(format!("{GROUP}_{kind}.yaml"));
        let text = std::fs::read_to_string(&path)
            .map_err(|error| InstallError::Manifests(format!("{}: {error}", path.display())))?;
        for crd in documents(&text)? {
            object::install(client, &crd, None).await?;
        }
    }
    let limit = timeouts().mesh.definitions;
    let waited = wait::until(limit, async |_| takes_gateways(client).await);
    Ok(waited
        .await
        .map_err(|error| error.or_late(|late| late.last_seen))?)
}

/// The API server takes the shared Gateway. What it says while it does not know the kind yet may be
/// a refusal too.
async fn takes_gateways(client: &Client) -> Result<Look<(), ObjectError>, ObjectError> {
    match object::install(client, &shared(), Some(NAMESPACE)).await {
        Ok(_) => Ok(Look::Met(())),
        Err(error @ (ObjectError::NoSuchKind { .. } | ObjectError::Refused { .. })) => {
            Ok(Look::Unmet(error))
        }
        Err(error) => Err(error),
    }
}

/// A Gateway whose proxy is the ingress gateway that is there already (Istio's "manual deployment":
/// an address of the type `Hostname` names its Service). A Gateway without an address would get a
/// proxy of its own.
fn shared() -> Value {
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

/// The object with labels for the pods that istiod deploys for it; other objects stay as they are.
#[must_use]
pub fn with_pod_labels(mut object: Value, labels: &[(&str, &str)]) -> Value {
    if deployed(&object).is_some() {
        for (key, value) in labels {
            object["spec"]["infrastructure"]["labels"][*key] = json!(value);
        }
    }
    object
}

/// How far istiod is with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acceptance {
    /// Its status says what it should.
    Done,
    /// Nothing has been said of this generation yet.
    Pending(String),
    /// Something else is said, in istiod's words.
    Refused(String),
}

/// What the store's copy of an object says of its newest generation; objects of other kinds are
/// done when they are there.
pub fn progress(config: &Value) -> Acceptance {
    let wanted: &[&str] = match config["kind"].as_str() {
        Some("GRPCRoute" | "HTTPRoute") => &["Accepted", "ResolvedRefs"],
        Some("Gateway") => &["Accepted", "Programmed"],
        _ => return Acceptance::Done,
    };
    let holders: Vec<&Value> = match config.pointer("/spec/parentRefs") {
        Some(Value::Array(parents)) => {
            let said = config.pointer("/status/parents").and_then(Value::as_array);
            let said = said.into_iter().flatten();
            let ours = said.filter(|parent| parent["controllerName"] == CONTROLLER);
            let ours: Vec<&Value> = ours.collect();
            if ours.len() < parents.len() {
                return Acceptance::Pending(format!(
                    "status for {} of {} parents",
                    ours.len(),
                    parents.len()
                ));
            }
            ours
        }
        _ => vec![&config["status"]],
    };
    let all = holders.iter().flat_map(|holder| {
        wanted
            .iter()
            .map(|kind| condition(config, &holder["conditions"], kind))
    });
    let mut worst = Acceptance::Done;
    for one in all {
        match one {
            Acceptance::Done => {}
            Acceptance::Refused(words) => return Acceptance::Refused(words),
            pending => worst = pending,
        }
    }
    worst
}

fn condition(config: &Value, conditions: &Value, kind: &str) -> Acceptance {
    let generation = config.pointer("/metadata/generation");
    let annotations = &config["metadata"]["annotations"];
    let wanted = annotations[CONDITION]
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
    if condition["status"] == wanted {
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

/// Whether one of istiod's own VirtualServices still comes from a route.
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
        let words = Acceptance::Refused("ResolvedRefs is False (R): m".into());
        assert_eq!(progress(&route(None, 2, "False")), words);
        let wanted = Some("ResolvedRefs=False");
        assert_eq!(progress(&route(wanted, 2, "False")), Acceptance::Done);
        assert!(matches!(
            progress(&route(wanted, 2, "True")),
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
