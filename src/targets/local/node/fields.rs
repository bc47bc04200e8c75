//! The downward API: a pod's own fields and a container's resources as text.

use std::{collections::BTreeMap, net::Ipv4Addr};

use k8s_openapi::{
    api::core::v1::{Container, Pod, ResourceFieldSelector},
    apimachinery::pkg::api::resource::Quantity,
};

/// CPUs of the node, and the default where a container has no limit (Kubernetes: "defaults to
/// node allocatable").
pub(super) const NODE_CPU: &str = "64";
/// Memory of the node; see [`NODE_CPU`].
pub(super) const NODE_MEMORY: &str = "64Gi";

/// An error resolving a field of the downward API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum FieldError {
    #[error("unsupported fieldPath {path:?}")]
    Path { path: String },
    #[error("resource {resource:?}: expected limits.NAME or requests.NAME")]
    Resource { resource: String },
    #[error("invalid quantity {text:?}")]
    Quantity { text: String },
}

/// Addresses that are not in the pod's object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addresses {
    pub pod: Ipv4Addr,
    pub node: Ipv4Addr,
}

/// The value of the field at a `fieldRef.fieldPath`.
///
/// # Errors
/// [`FieldError::Path`].
pub(super) fn pod_field(pod: &Pod, path: &str, addresses: Addresses) -> Result<String, FieldError> {
    let meta = &pod.metadata;
    let spec = pod.spec.as_ref();
    if let Some((map, key)) = subscript(path) {
        let map = match map {
            "metadata.labels" => meta.labels.as_ref(),
            "metadata.annotations" => meta.annotations.as_ref(),
            _ => return Err(unknown(path)),
        };
        return Ok(map
            .and_then(|map| map.get(key))
            .cloned()
            .unwrap_or_default());
    }
    Ok(match path {
        "metadata.name" => meta.name.clone().unwrap_or_default(),
        "metadata.namespace" => meta.namespace.clone().unwrap_or_default(),
        "metadata.uid" => meta.uid.clone().unwrap_or_default(),
        "metadata.labels" => map_text(meta.labels.as_ref()),
        "metadata.annotations" => map_text(meta.annotations.as_ref()),
        "spec.nodeName" => spec
            .and_then(|spec| spec.node_name.clone())
            .unwrap_or_default(),
        "spec.serviceAccountName" => spec
            .and_then(|spec| spec.service_account_name.clone())
            .unwrap_or_default(),
        "status.podIP" | "status.podIPs" => addresses.pod.to_string(),
        "status.hostIP" | "status.hostIPs" => addresses.node.to_string(),
        _ => return Err(unknown(path)),
    })
}

fn unknown(path: &str) -> FieldError {
    let path = path.to_owned();
    FieldError::Path { path }
}

/// Splits `metadata.labels['x']` into the map and the key.
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, rest) = path.split_once('[')?;
    let key = rest.strip_suffix(']')?;
    Some((map, key.trim_matches(['\'', '"'])))
}

/// A map as the downward API writes it into a file: one `key="value"` per line, sorted by key,
/// quoted as Go does.
fn map_text(map: Option<&BTreeMap<String, String>>) -> String {
    let lines: Vec<String> = map
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", quoted(value)))
        .collect();
    lines.join("\n")
}

fn quoted(value: &str) -> String {
    let mut out = String::from("\"");
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A container's request or limit as `resourceFieldRef` defines it: divided, rounded up.
pub(super) fn resource_field(
    container: &Container,
    selector: &ResourceFieldSelector,
) -> Result<String, FieldError> {
    let resources = container.resources.as_ref();
    let wrong = || FieldError::Resource {
        resource: selector.resource.clone(),
    };
    let (kind, name) = selector.resource.split_once('.').ok_or_else(wrong)?;
    let limit = || resources.and_then(|r| r.limits.as_ref()?.get(name).cloned());
    let request = || resources.and_then(|r| r.requests.as_ref()?.get(name).cloned());
    let found = match kind {
        "limits" => limit().or_else(|| node_capacity(name)),
        "requests" => request().or_else(limit),
        _ => return Err(wrong()),
    };
    let amount = found.map_or(Ok(0), |quantity| nano(&quantity.0))?;
    let divisor = selector
        .divisor
        .as_ref()
        .map_or(Ok(0), |quantity| nano(&quantity.0))?;
    let divisor = if divisor == 0 { 1_000_000_000 } else { divisor };
    Ok(amount.div_ceil(divisor).to_string())
}

fn node_capacity(name: &str) -> Option<Quantity> {
    match name {
        "cpu" => Some(Quantity(NODE_CPU.to_owned())),
        "memory" => Some(Quantity(NODE_MEMORY.to_owned())),
        _ => None,
    }
}

/// A quantity in bytes.
///
/// # Errors
/// [`FieldError::Quantity`].
pub(super) fn bytes(quantity: &Quantity) -> Result<u64, FieldError> {
    Ok(u64::try_from(nano(&quantity.0)? / 1_000_000_000).unwrap_or(u64::MAX))
}

/// A Kubernetes quantity in billionths. Kubernetes API conventions, "Resource Quantities".
fn nano(text: &str) -> Result<u128, FieldError> {
    const SUFFIXES: [(&str, u128); 14] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("Pi", 1 << 50),
        ("Ei", 1 << 60),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("P", 1_000_000_000_000_000),
        ("E", 1_000_000_000_000_000_000),
        ("", 1),
        ("e0", 1),
    ];
    const SMALL: [(&str, u128); 3] = [("m", 1_000), ("u", 1_000_000), ("n", 1_000_000_000)];
    let bad = || FieldError::Quantity {
        text: text.to_owned(),
    };
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (digits, suffix) = text.split_at(end);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let number: u128 = format!("{whole}{fraction}").parse().map_err(|_| bad())?;
    if let Some((_, by)) = SMALL.iter().find(|(name, _)| *name == suffix) {
        return Ok(number.div_ceil(*by));
    }
    let by = SUFFIXES
        .iter()
        .find(|(name, _)| *name == suffix)
        .map(|(_, by)| *by)
        .ok_or_else(bad)?;
    number.checked_mul(by).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn pod() -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u", "labels": {"app": "x", "b/c": "d"},
                         "annotations": {"q": "say \"hi\"\n"}},
            "spec": {"containers": [], "nodeName": "local", "serviceAccountName": "sa"}
        }))
        .unwrap()
    }

    #[rstest]
    #[case("metadata.name", Ok("p"))]
    #[case("metadata.namespace", Ok("n"))]
    #[case("metadata.labels['b/c']", Ok("d"))]
    #[case("metadata.labels['none']", Ok(""))]
    #[case("metadata.labels", Ok("app=\"x\"\nb/c=\"d\""))]
    #[case("metadata.annotations", Ok("q=\"say \\\"hi\\\"\\n\""))]
    #[case("spec.serviceAccountName", Ok("sa"))]
    #[case("status.podIP", Ok("10.0.0.2"))]
    #[case("status.hostIP", Ok("10.0.0.1"))]
    #[case("spec.containers", Err(()))]
    fn fields_have_their_values(#[case] path: &str, #[case] expected: Result<&str, ()>) {
        let addresses = Addresses {
            pod: Ipv4Addr::new(10, 0, 0, 2),
            node: Ipv4Addr::new(10, 0, 0, 1),
        };
        let got = pod_field(&pod(), path, addresses);
        assert_eq!(got.as_deref().map_err(|_| ()), expected);
    }

    #[rstest]
    #[case::limit("limits.cpu", "1", "2")]
    #[case::rounded_up("requests.cpu", "1", "1")]
    #[case::divided("requests.cpu", "1m", "500")]
    #[case::memory("limits.memory", "1Mi", "64")]
    #[case::no_request_is_the_limit("requests.memory", "1Mi", "64")]
    #[case::unset_divisor("limits.memory", "0", "67108864")]
    fn resources_are_divided(
        #[case] resource: &str,
        #[case] divisor: &str,
        #[case] expected: &str,
    ) {
        let container: Container = serde_json::from_value(json!({
            "name": "c", "resources": {"limits": {"cpu": "1.5", "memory": "64Mi"}, "requests": {"cpu": "500m"}}
        }))
        .unwrap();
        let selector = ResourceFieldSelector {
            resource: resource.to_owned(),
            divisor: Some(Quantity(divisor.to_owned())),
            ..Default::default()
        };
        assert_eq!(resource_field(&container, &selector).unwrap(), expected);
    }

    #[test]
    fn a_container_without_limit_sees_what_the_node_has() {
        let selector = ResourceFieldSelector {
            resource: "limits.cpu".to_owned(),
            ..Default::default()
        };
        assert_eq!(
            resource_field(&Container::default(), &selector).unwrap(),
            NODE_CPU
        );
    }
}
