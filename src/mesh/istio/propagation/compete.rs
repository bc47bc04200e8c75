//! Which objects compete, so that the older one takes precedence.
//!
//! istiod orders the objects of a kind by their creation time, which has whole seconds, then by
//! name, then by namespace (`configCompareByCreationTime` in istio.io/istio,
//! pilot/pkg/model/config.go; Services by host, model/context.go; Gateway API's "conflict
//! resolution" has the same rule). Each kind documents which of two objects takes effect, or
//! comes first: one DestinationRule's policy for a host, the routes of VirtualServices that share
//! a host, one Sidecar, PeerAuthentication or Telemetry for a selection, the order of
//! EnvoyFilters and plug-ins, one Gateway for a port, one Service for a pod's port.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Whether the age of two objects decides which of them takes effect, or comes first. `namespace`
/// is the default for objects that name none. An object does not compete with itself.
pub fn competes(a: &Value, b: &Value, namespace: &str) -> bool {
    let (a, b) = (Object::of(a, namespace), Object::of(b, namespace));
    if a.is(&b) {
        return false;
    }
    let same_kind = a.group == b.group && a.kind == b.kind;
    if let (Some(left), Some(right)) = (a.entries(), b.entries()) {
        return left.iter().any(|(at, host)| {
            right
                .iter()
                .any(|(other, name)| at == other && overlap(host, name))
        });
    }
    if a.group == "gateway.networking.k8s.io" && a.group == b.group {
        return a.namespace == b.namespace && share(&a.targets(), &b.targets());
    }
    if !same_kind {
        return false;
    }
    let near = a.namespace == b.namespace;
    match (a.group, a.kind) {
        ("networking.istio.io", "DestinationRule") => a.host() == b.host() && same_level(&a, &b),
        ("networking.istio.io", "ServiceEntry") => share(&a.hosts(), &b.hosts()),
        ("networking.istio.io", "Gateway") => one_port(&a, &b),
        ("networking.istio.io", "EnvoyFilter") => {
            near && compatible(&a, &b) && a.field("/spec/priority") == b.field("/spec/priority")
        }
        ("extensions.istio.io", _) => {
            near && compatible(&a, &b) && a.field("/spec/phase") == b.field("/spec/phase")
        }
        ("security.istio.io", "RequestAuthentication") => near && compatible(&a, &b),
        ("networking.istio.io", "Sidecar" | "ProxyConfig")
        | ("security.istio.io", "PeerAuthentication")
        | ("telemetry.istio.io", _) => near && same_level(&a, &b),
        ("", "Service") => near && one_pod_port(&a, &b),
        _ => false,
    }
}

/// Whether `a` precedes `b` by name alone. Objects that are written one after the other are in
/// the intended order whenever their names are: their creation times are then equal or in the
/// same order.
pub fn sorts_before(a: &Value, b: &Value, namespace: &str) -> bool {
    let (a, b) = (Object::of(a, namespace), Object::of(b, namespace));
    (a.name, a.namespace) < (b.name, b.namespace)
}

/// Whether objects of this kind can compete.
pub fn can_compete(object: &Value) -> bool {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    version.contains(".istio.io/")
        || version.starts_with("gateway.networking.k8s.io/")
        || object["kind"] == "Service"
}

/// An object with its identity.
struct Object<'v> {
    group: &'v str,
    kind: &'v str,
    name: &'v str,
    namespace: &'v str,
    value: &'v Value,
}

impl<'v> Object<'v> {
    fn of(value: &'v Value, namespace: &'v str) -> Self {
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
        let version = text("/apiVersion").unwrap_or_default();
        Self {
            group: version.split_once('/').map_or("", |(group, _)| group),
            kind: text("/kind").unwrap_or_default(),
            name: text("/metadata/name").unwrap_or_default(),
            namespace: text("/metadata/namespace").unwrap_or(namespace),
            value,
        }
    }

    fn is(&self, other: &Self) -> bool {
        let key = |object: &Self| (object.group.to_owned(), object.kind.to_owned());
        key(self) == key(other) && (self.name, self.namespace) == (other.name, other.namespace)
    }

    fn field(&self, pointer: &str) -> Option<&'v Value> {
        self.value.pointer(pointer)
    }

    fn list(&self, pointer: &str) -> &'v [Value] {
        let found = self.field(pointer).and_then(Value::as_array);
        found.map_or(&[], Vec::as_slice)
    }

    /// A host as a full name, as Istio completes it.
    fn complete(&self, host: &str) -> String {
        let host = host.to_ascii_lowercase();
        if host.contains(['.', '*']) {
            host
        } else {
            format!("{host}.{}.svc.cluster.local", self.namespace)
        }
    }

    fn hosts(&self) -> Vec<String> {
        let hosts = self.list("/spec/hosts").iter().filter_map(Value::as_str);
        hosts.map(|host| self.complete(host)).collect()
    }

    fn host(&self) -> Option<String> {
        let host = self.field("/spec/host").and_then(Value::as_str);
        host.map(|host| self.complete(host))
    }

    /// The gateways and hosts of a route. `None` for other kinds.
    fn entries(&self) -> Option<Vec<(String, String)>> {
        match self.group {
            "networking.istio.io" if self.kind == "VirtualService" => {
                let gateways = self.list("/spec/gateways").iter().filter_map(Value::as_str);
                let mut gateways: Vec<String> = gateways.map(|name| self.gateway(name)).collect();
                if gateways.is_empty() {
                    gateways.push("mesh".to_owned());
                }
                Some(pairs(&gateways, &self.hosts()))
            }
            "gateway.networking.k8s.io" if self.kind.ends_with("Route") => {
                let parents = self.list("/spec/parentRefs").iter();
                Some(parents.flat_map(|parent| self.parent(parent)).collect())
            }
            _ => None,
        }
    }

    fn gateway(&self, name: &str) -> String {
        if name == "mesh" || name.contains('/') {
            name.to_owned()
        } else {
            format!("{}/{name}", self.namespace)
        }
    }

    /// A Gateway API route whose parent is a Service applies to the Service's host in the mesh.
    fn parent(&self, parent: &Value) -> Vec<(String, String)> {
        let text = |field: &str| parent[field].as_str();
        let namespace = text("namespace").unwrap_or(self.namespace);
        let name = text("name").unwrap_or_default();
        if text("kind") == Some("Service") {
            let host = format!("{name}.{namespace}.svc.cluster.local");
            return vec![("mesh".to_owned(), host)];
        }
        let hosts = self
            .list("/spec/hostnames")
            .iter()
            .filter_map(Value::as_str);
        let mut hosts: Vec<String> = hosts.map(str::to_ascii_lowercase).collect();
        if hosts.is_empty() {
            hosts.push("*".to_owned());
        }
        pairs(&[format!("Gateway {namespace}/{name}")], &hosts)
    }

    /// The targets of a Gateway API policy.
    fn targets(&self) -> Vec<String> {
        let targets = self.list("/spec/targetRefs").iter();
        let named = targets.map(|target| {
            let field = |name: &str| target[name].as_str().unwrap_or_default();
            format!("{}/{}/{}", self.kind, field("kind"), field("name"))
        });
        named.collect()
    }

    /// Labels of the pods that it selects. `None` if it selects all.
    fn selector(&self) -> Option<&'v Map<String, Value>> {
        let places = [
            "/spec/selector/matchLabels",
            "/spec/workloadSelector/labels",
            "/spec/workloadSelector/matchLabels",
        ];
        let mut found = places.iter().filter_map(|at| self.field(at)?.as_object());
        found.find(|labels| !labels.is_empty())
    }
}

fn pairs(left: &[String], right: &[String]) -> Vec<(String, String)> {
    let each = left
        .iter()
        .flat_map(|a| right.iter().map(move |b| (a.clone(), b.clone())));
    each.collect()
}

fn share(a: &[String], b: &[String]) -> bool {
    a.iter().any(|one| b.contains(one))
}

/// Whether a name can match both hosts.
fn overlap(a: &str, b: &str) -> bool {
    let bare = |host: &str| host.rsplit('/').next().unwrap_or_default().to_owned();
    let (a, b) = (bare(a), bare(b));
    let covers = |wide: &str, host: &str| {
        wide.strip_prefix('*')
            .is_some_and(|end| host.ends_with(end))
    };
    a == b || covers(&a, &b) || covers(&b, &a)
}

/// Whether no label has two different values, so that a pod can have both sets of labels.
fn agree(a: &Map<String, Value>, b: &Map<String, Value>) -> bool {
    a.iter()
        .all(|(key, value)| b.get(key).is_none_or(|other| other == value))
}

/// Whether both can select the same pod.
fn compatible(a: &Object<'_>, b: &Object<'_>) -> bool {
    match (a.selector(), b.selector()) {
        (Some(a), Some(b)) => agree(a, b),
        _ => true,
    }
}

/// The same, except that an object with a selector takes precedence over one without, whatever
/// their ages.
fn same_level(a: &Object<'_>, b: &Object<'_>) -> bool {
    a.selector().is_some() == b.selector().is_some() && compatible(a, b)
}

/// Whether two Gateways of one proxy compete: a port has one protocol, and a host has one server.
fn one_port(a: &Object<'_>, b: &Object<'_>) -> bool {
    let labels = |object: &Object<'_>| {
        object
            .field("/spec/selector")
            .and_then(Value::as_object)
            .cloned()
    };
    let near = match (labels(a), labels(b)) {
        (Some(a), Some(b)) => agree(&a, &b),
        _ => true,
    };
    let clash = |left: &Value, right: &Value| {
        let field = |server: &Value, name: &str| server["port"][name].clone();
        let hosts = |server: &Value| -> Vec<String> {
            let hosts = server["hosts"].as_array().into_iter().flatten();
            hosts
                .filter_map(|host| Some(host.as_str()?.to_owned()))
                .collect()
        };
        let (left_hosts, right_hosts) = (hosts(left), hosts(right));
        let meet = left_hosts
            .iter()
            .any(|one| right_hosts.iter().any(|other| overlap(one, other)));
        field(left, "number") == field(right, "number")
            && (meet || field(left, "protocol") != field(right, "protocol"))
    };
    let servers = (a.list("/spec/servers"), b.list("/spec/servers"));
    near && servers
        .0
        .iter()
        .any(|left| servers.1.iter().any(|right| clash(left, right)))
}

/// Whether two Services share a port of a pod: the older one's protocol applies to the port.
fn one_pod_port(a: &Object<'_>, b: &Object<'_>) -> bool {
    let labels = |object: &Object<'_>| object.field("/spec/selector")?.as_object().cloned();
    let (Some(left), Some(right)) = (labels(a), labels(b)) else {
        return false;
    };
    let ports = |object: &Object<'_>| -> BTreeSet<String> {
        let all = object.list("/spec/ports").iter();
        all.map(|port| port.get("targetPort").unwrap_or(&port["port"]).to_string())
            .collect()
    };
    agree(&left, &right) && !ports(a).is_disjoint(&ports(b))
}

#[cfg(test)]
#[path = "compete_tests.rs"]
mod tests;
