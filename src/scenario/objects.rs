//! Kubernetes objects as people paste them: lists are flattened, fields that an API server fills in
//! are dropped.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::yaml::{self, Position, SourceMap, YamlError};

/// One object of a file.
#[derive(Debug, Clone)]
pub struct Object {
    pub value: Value,
    /// Fields that an API server fills in and rejects or misinterprets when they are applied;
    /// removed from `value`.
    pub dropped: Vec<&'static str>,
    places: Arc<SourceMap>,
    /// Path of the object in its document; empty unless it is an item of a list.
    prefix: String,
}

impl Object {
    /// Position of a key (`metadata.name`), or of its nearest parent.
    pub fn key(&self, path: &str) -> Position {
        self.places.key(&self.path(path))
    }

    /// Position of a value.
    pub fn value(&self, path: &str) -> Position {
        self.places.value(&self.path(path))
    }

    fn path(&self, path: &str) -> String {
        match (self.prefix.is_empty(), path.is_empty()) {
            (true, _) => path.to_owned(),
            (false, true) => self.prefix.clone(),
            (false, false) => format!("{}.{path}", self.prefix),
        }
    }

    /// The text at a JSON pointer.
    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.value.pointer(pointer)?.as_str()
    }

    /// API group, kind, namespace as written, and name: objects of one file with the same address
    /// are the same object.
    pub fn address(&self) -> Option<(String, String, String, String)> {
        let version = self.text("/apiVersion")?;
        let group = version.split_once('/').map_or("", |(group, _)| group);
        let namespace = self.text("/metadata/namespace").unwrap_or("${namespace}");
        let kind = self.text("/kind")?;
        let name = self.text("/metadata/name")?;
        Some([group, kind, namespace, name].map(str::to_owned).into())
    }
}

/// All objects of a file in order. A `List` (what `kubectl get -o yaml` prints) is replaced by its
/// items.
///
/// # Errors
/// The text is not YAML, or exceeds the reader's limits.
pub fn objects(text: &str) -> Result<Vec<Object>, YamlError> {
    let mut found = Vec::new();
    for document in yaml::documents(text)? {
        let places = Arc::new(document.places);
        take_apart(document.value, &places, String::new(), &mut found);
    }
    Ok(found)
}

/// The values of [`objects`], as they are applied.
///
/// # Errors
/// As [`objects`].
pub fn values(text: &str) -> Result<Vec<Value>, YamlError> {
    Ok(objects(text)?
        .into_iter()
        .map(|object| object.value)
        .collect())
}

fn take_apart(mut value: Value, places: &Arc<SourceMap>, prefix: String, found: &mut Vec<Object>) {
    let kind = value["kind"].as_str().unwrap_or_default();
    let item_kind = kind.strip_suffix("List").map(str::to_owned);
    let Some((item_kind, items)) = item_kind.zip(value["items"].as_array().cloned()) else {
        let dropped = drop_filled_in(&mut value);
        return found.push(Object {
            value,
            dropped,
            places: Arc::clone(places),
            prefix,
        });
    };
    for (at, mut item) in items.into_iter().enumerate() {
        // Items of a typed list (`VirtualServiceList`) may omit what the list specifies.
        if let (false, Some(fields)) = (item_kind.is_empty(), item.as_object_mut()) {
            let version = value["apiVersion"].clone();
            fields.entry("apiVersion").or_insert(version);
            fields
                .entry("kind")
                .or_insert_with(|| item_kind.as_str().into());
        }
        let dot = if prefix.is_empty() { "" } else { "." };
        take_apart(item, places, format!("{prefix}{dot}items[{at}]"), found);
    }
}

/// Fields of `metadata` that a server writes (Kubernetes' API conventions), including owners in
/// another cluster: an object whose owner does not exist is garbage collected.
const FILLED_IN: [(&str, &str); 8] = [
    ("managedFields", "metadata.managedFields"),
    ("uid", "metadata.uid"),
    ("resourceVersion", "metadata.resourceVersion"),
    ("creationTimestamp", "metadata.creationTimestamp"),
    ("deletionTimestamp", "metadata.deletionTimestamp"),
    ("generation", "metadata.generation"),
    ("selfLink", "metadata.selfLink"),
    ("ownerReferences", "metadata.ownerReferences"),
];
/// Annotation in which `kubectl apply` keeps the configuration it sent last.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

fn drop_filled_in(value: &mut Value) -> Vec<&'static str> {
    let mut dropped = Vec::new();
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        for (key, path) in FILLED_IN {
            if metadata.remove(key).is_some() {
                dropped.push(path);
            }
        }
        if let Some(Value::Object(annotations)) = metadata.get_mut("annotations")
            && annotations.remove(LAST_APPLIED).is_some()
        {
            dropped.push("metadata.annotations");
        }
    }
    let is_service = value["kind"] == "Service";
    let Some(object) = value.as_object_mut() else {
        return dropped;
    };
    if object.remove("status").is_some() {
        dropped.push("status");
    }
    if is_service && let Some(Value::Object(spec)) = object.get_mut("spec") {
        drop_addresses(spec, &mut dropped);
    }
    dropped
}

/// Removes addresses that another cluster assigned to a Service; `None` (headless) is kept.
fn drop_addresses(spec: &mut Map<String, Value>, dropped: &mut Vec<&'static str>) {
    let given = |value: Option<&Value>| value.is_some_and(|value| value.as_str() != Some("None"));
    if given(spec.get("clusterIP")) {
        spec.remove("clusterIP");
        spec.remove("clusterIPs");
        dropped.push("spec.clusterIP");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "\
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata: {name: a, uid: x, resourceVersion: '1', annotations: {kubectl.kubernetes.io/last-applied-configuration: '{}'}}
  spec: {clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1], ports: []}
  status: {}
- apiVersion: v1
  kind: Service
  metadata:
    name: b
  spec: {clusterIP: None}
";

    #[test]
    fn a_list_is_its_items_without_what_a_server_filled_in() {
        let all = objects(LIST).expect("YAML");
        let names: Vec<_> = all
            .iter()
            .map(|object| object.text("/metadata/name"))
            .collect();
        assert_eq!(names, [Some("a"), Some("b")]);
        assert_eq!(
            all[0].dropped,
            [
                "metadata.uid",
                "metadata.resourceVersion",
                "metadata.annotations",
                "status",
                "spec.clusterIP"
            ]
        );
        assert_eq!(all[0].value["spec"], serde_json::json!({"ports": []}));
        assert_eq!(all[1].value["spec"]["clusterIP"], "None");
        assert!(all[1].dropped.is_empty());
        assert_eq!(all[1].key("metadata.name").line, 12);
    }

    #[test]
    fn items_of_a_typed_list_take_its_kind() {
        let text = "apiVersion: v1\nkind: ConfigMapList\nitems: [{metadata: {name: a}}]\n";
        let all = values(text).expect("YAML");
        assert_eq!(all[0]["kind"], "ConfigMap");
        assert_eq!(all[0]["apiVersion"], "v1");
    }

    #[test]
    fn merge_keys_are_merged_as_kubectl_does() {
        let text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [{x: 5}, *a], z: 1}\n'<<': {}\n";
        let all = values(text).expect("YAML");
        assert_eq!(all[0]["b"], serde_json::json!({"x": 1, "y": 3}));
        assert_eq!(all[0]["c"], serde_json::json!({"x": 5, "y": 2, "z": 1}));
    }
}
