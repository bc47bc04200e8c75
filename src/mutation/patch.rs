//! Patches of the configuration that proxies receive, as Istio EnvoyFilters, which istiod applies
//! to its own output.
//!
//! Istio does not report a patch that matches nothing. Each patch therefore leaves a trace: a key
//! of `metadata.filter_metadata` in the route, virtual host, cluster, listener or filter chain that
//! it changes, which the proxy's configuration dump shows.

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::{Value, json};

use super::model::Mutation;

/// Name of the objects that carry the patches.
const NAME: &str = "meshproof-mutation";
/// Namespace and `istio` label of the ingress gateway that scenarios share.
pub const SHARED_GATEWAY: (&str, &str) = ("istio-system", "ingressgateway");
/// Values of `applyTo` that can carry a trace.
const WITH_METADATA: [&str; 6] = [
    "CLUSTER",
    "HTTP_ROUTE",
    "VIRTUAL_HOST",
    "ROUTE_CONFIGURATION",
    "LISTENER",
    "FILTER_CHAIN",
];

/// One patch, in the format of EnvoyFilter's `configPatches`. Field names of `patch.value` are
/// Envoy's own (`lb_policy`, with underscores).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Patch {
    pub apply_to: String,
    #[serde(default = "anything", rename = "match")]
    pub matching: Value,
    pub patch: Value,
}

fn anything() -> Value {
    json!({})
}

impl Patch {
    fn operation(&self) -> &str {
        self.patch["operation"].as_str().unwrap_or_default()
    }

    /// Whether it applies to gateways.
    fn is_for_gateways(&self) -> bool {
        matches!(
            self.matching["context"].as_str(),
            None | Some("ANY" | "GATEWAY")
        )
    }

    /// Whether it refers to values of a single scenario (placeholders).
    fn is_of_one_namespace(&self) -> bool {
        let mut text = self.matching.to_string();
        let _ = write!(text, "{}", self.patch);
        text.contains("${")
    }

    fn leaves_trace(&self) -> bool {
        WITH_METADATA.contains(&self.apply_to.as_str())
            && matches!(self.operation(), "MERGE" | "MERGE_AND_REPLACE_LIST" | "ADD")
            // If a cluster's patch has a transport socket, istiod merges nothing else of it.
            && self.patch["value"].get("transport_socket").is_none()
    }

    fn with_trace(&self, number: usize) -> Value {
        let mut patch = self.patch.clone();
        if self.leaves_trace() {
            patch["value"]["metadata"]["filter_metadata"][trace(number)] = json!({});
        }
        json!({"applyTo": self.apply_to, "match": self.matching, "patch": patch})
    }

    /// Whether a proxy's configuration dump shows that the patch with this number was applied.
    /// Always true for removals, which leave nothing to look for.
    pub fn is_in(&self, number: usize, dump: &Value) -> bool {
        if self.leaves_trace() {
            return holds_key(dump, &trace(number));
        }
        match &self.patch["value"] {
            Value::Null => true,
            value => holds(dump, value),
        }
    }
}

fn trace(number: usize) -> String {
    format!("meshproof.dev/mutation-{number}")
}

/// The object that patches the sidecars (and gateways) of a scenario's own namespace.
pub fn sidecars(mutation: &Mutation) -> Option<Value> {
    filter(mutation, |_| true, &json!({}))
}

/// The object that patches the shared ingress gateway, if a patch applies to gateways and refers to
/// no single scenario.
pub fn shared_gateway(mutation: &Mutation) -> Option<Value> {
    let (namespace, label) = SHARED_GATEWAY;
    let ours = |patch: &Patch| patch.is_for_gateways() && !patch.is_of_one_namespace();
    let mut filter = filter(
        mutation,
        ours,
        &json!({"workloadSelector": {"labels": {"istio": label}}}),
    )?;
    filter["metadata"]["namespace"] = namespace.into();
    Some(filter)
}

fn filter(mutation: &Mutation, ours: impl Fn(&Patch) -> bool, spec: &Value) -> Option<Value> {
    let numbered = mutation.patches.iter().enumerate();
    let patches: Vec<Value> = numbered
        .filter(|(_, patch)| ours(patch))
        .map(|(number, patch)| patch.with_trace(number))
        .collect();
    if patches.is_empty() {
        return None;
    }
    let mut spec = spec.clone();
    // After the scenario's own patches.
    spec["priority"] = 1000.into();
    spec["configPatches"] = patches.into();
    Some(json!({
        "apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter",
        "metadata": {"name": NAME},
        "spec": spec,
    }))
}

fn holds_key(dump: &Value, key: &str) -> bool {
    match dump {
        Value::Object(fields) => {
            fields.contains_key(key) || fields.values().any(|field| holds_key(field, key))
        }
        Value::Array(items) => items.iter().any(|item| holds_key(item, key)),
        _ => false,
    }
}

/// Whether some part of the dump contains everything in `wanted`.
fn holds(dump: &Value, expected: &Value) -> bool {
    let deeper = || match dump {
        Value::Object(fields) => fields.values().any(|field| holds(field, expected)),
        Value::Array(items) => items.iter().any(|item| holds(item, expected)),
        _ => false,
    };
    covers(dump, expected) || deeper()
}

fn covers(have: &Value, expected: &Value) -> bool {
    match (have, expected) {
        (Value::Object(have), Value::Object(expected)) => expected
            .iter()
            .all(|(key, value)| have.get(key).is_some_and(|have| covers(have, value))),
        (Value::Array(have), Value::Array(expected)) => expected
            .iter()
            .all(|value| have.iter().any(|have| covers(have, value))),
        (have, expected) => have == expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutation(patches: &str) -> Mutation {
        let text = format!("{{name: m, what: w, turns-red: [], patches: [{patches}]}}");
        serde_yaml::from_str(&text).expect("it parses")
    }

    const RANDOM: &str = "{applyTo: CLUSTER, match: {context: SIDECAR_OUTBOUND}, patch: {operation: MERGE, value: {lb_policy: RANDOM}}}";
    const FILTER: &str = "{applyTo: NETWORK_FILTER, match: {context: GATEWAY}, patch: {operation: MERGE, value: {typed_config: {stream_idle_timeout: 300s}}}}";

    #[test]
    fn the_shared_gateway_gets_what_is_for_gateways() {
        let both = mutation(&format!("{RANDOM}, {FILTER}"));
        let count = |object: Option<Value>| {
            object.map(|object| {
                object["spec"]["configPatches"]
                    .as_array()
                    .map_or(0, Vec::len)
            })
        };
        assert_eq!(count(sidecars(&both)), Some(2));
        assert_eq!(count(shared_gateway(&both)), Some(1));
        assert_eq!(shared_gateway(&mutation(RANDOM)), None);
        let own = FILTER.replace("300s", "\"${namespace}\"");
        assert_eq!(shared_gateway(&mutation(&own)), None);
    }

    #[test]
    fn a_patch_that_was_taken_is_known_by_its_trace_or_by_its_value() {
        let both = mutation(&format!("{RANDOM}, {FILTER}"));
        let object = sidecars(&both).expect("there are patches");
        let cluster = object
            .pointer("/spec/configPatches/0/patch/value")
            .expect("a value");
        let dump = json!({"configs": [{"cluster": cluster}, {"x": {"typed_config": {"a": 1, "stream_idle_timeout": "300s"}}}]});
        assert!(both.patches[0].is_in(0, &dump));
        assert!(!both.patches[0].is_in(1, &dump));
        assert!(both.patches[1].is_in(1, &dump));
        // The value alone proves nothing: another cluster may have it by default.
        let other = json!({"configs": [{"cluster": {"lb_policy": "RANDOM"}}]});
        assert!(!both.patches[0].is_in(0, &other));
        assert!(!both.patches[1].is_in(1, &other));
    }
}
