//! What each kind reaches from inside a scenario's namespace.

use serde_json::{Map, Value};

use super::{
    Reach,
    hosts::{is_own, is_own_namespace, is_short},
    list, reach, text,
};

/// Help: use a gateway that no other scenario uses.
const GATEWAY: &str =
    "use `${host}`, or your own gateway (`template: gateway`, selected by `istio: ${namespace}`)";
const EXPORT: &str = "add `exportTo: [\".\"]`, or use `${host}`";

/// The object's group and kind decide.
pub fn reaches(object: &Value) -> Vec<Reach> {
    let group = text(object, "/apiVersion")
        .split('/')
        .next()
        .unwrap_or_default();
    match (group, text(object, "/kind")) {
        ("networking.istio.io", "Gateway") => gateway(object),
        ("networking.istio.io", "VirtualService") => virtual_service(object),
        ("networking.istio.io", "ServiceEntry") => service_entry(object),
        ("gateway.networking.k8s.io", "Gateway") => listeners(object),
        ("gateway.networking.k8s.io", kind) if kind.ends_with("Route") => route(object, kind),
        ("networking.k8s.io" | "extensions", "Ingress") => ingress(object),
        (_, "Service") => service(object),
        _ => Vec::new(),
    }
}

/// Istio's Gateways select pods by label in every namespace. A gateway selected by the name of the
/// scenario's namespace is its own; at any other gateway, only the scenario's own hosts are.
fn gateway(object: &Value) -> Vec<Reach> {
    let selector = object.pointer("/spec/selector").and_then(Value::as_object);
    let own = |labels: &Map<String, Value>| {
        let mut values = labels.values().filter_map(Value::as_str);
        values.any(|value| value.contains("${namespace}"))
    };
    if selector.is_some_and(own) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (at, server) in list(object, "/spec/servers").iter().enumerate() {
        let at = format!("spec.servers[{at}]");
        found.extend(port(object, server, &at));
        let hosts = list(server, "/hosts");
        found.extend(each_host(
            object,
            hosts,
            &format!("{at}.hosts"),
            shared_gateway,
        ));
    }
    found
}

fn shared_gateway(host: &str) -> String {
    match host.rsplit('/').next() {
        Some("*") => "claims every host on the shared gateway".to_owned(),
        _ => format!("claims the host {host} on the shared gateway"),
    }
}

/// A port has one protocol at a gateway, and without HTTP or SNI it has one server: the first
/// Gateway gets it.
fn port(object: &Value, server: &Value, at: &str) -> Option<Reach> {
    let number = server.pointer("/port/number").and_then(Value::as_u64);
    let protocol = text(server, "/port/protocol").to_ascii_uppercase();
    let clear = matches!(protocol.as_str(), "HTTP" | "HTTP2" | "GRPC" | "GRPC-WEB");
    let fits = match (number, protocol.as_str()) {
        (_, "TCP" | "MONGO" | "MYSQL" | "REDIS") => false,
        (Some(80), _) => clear,
        (Some(443), _) => matches!(protocol.as_str(), "HTTPS" | "TLS"),
        _ => true,
    };
    let number = number.map_or_else(|| "?".to_owned(), |number| number.to_string());
    let message = format!("makes port {number} of the shared gateway one for {protocol}");
    (!fits).then(|| reach(object, &format!("{at}.port"), &message, GATEWAY))
}

fn each_host(
    object: &Value,
    hosts: &[Value],
    at: &str,
    message: impl Fn(&str) -> String,
) -> Vec<Reach> {
    let texts = hosts
        .iter()
        .enumerate()
        .filter_map(|(n, host)| Some((n, host.as_str()?)));
    let foreign = texts.filter(|(_, host)| !is_own(host));
    foreign
        .map(|(n, host)| reach(object, &format!("{at}[{n}]"), &message(host), GATEWAY))
        .collect()
}

/// Others see an object whose `exportTo` is absent or includes other namespaces.
fn is_exported(object: &Value) -> bool {
    let names = list(object, "/spec/exportTo");
    let own = |name: &Value| {
        name.as_str()
            .is_some_and(|name| name == "~" || is_own_namespace(name))
    };
    names.is_empty() || !names.iter().all(own)
}

/// A gateway of another namespace serves the hosts as written; a gateway of the scenario is judged
/// separately. In the mesh, foreign hosts change for every namespace that sees the object.
fn virtual_service(object: &Value) -> Vec<Reach> {
    let hosts = list(object, "/spec/hosts");
    let gateways = list(object, "/spec/gateways");
    let named = |expected: &dyn Fn(&str) -> bool| {
        let mut names = gateways.iter().filter_map(Value::as_str);
        names.any(expected)
    };
    let foreign = |name: &str| {
        name.split_once('/')
            .is_some_and(|(namespace, _)| !is_own_namespace(namespace))
    };
    if named(&foreign) {
        return each_host(object, hosts, "spec.hosts", shared_gateway);
    }
    let in_mesh = gateways.is_empty() || named(&|name| name == "mesh");
    if !in_mesh || !is_exported(object) {
        return Vec::new();
    }
    exported(object, "routes", |host| is_own(host) || is_short(host))
}

fn exported(object: &Value, verb: &str, own: impl Fn(&str) -> bool) -> Vec<Reach> {
    let hosts = list(object, "/spec/hosts").iter().enumerate();
    let texts = hosts.filter_map(|(n, host)| Some((n, host.as_str()?)));
    let found = texts.filter(|(_, host)| !own(host)).map(|(n, host)| {
        let message = format!("{verb} the host {host} for every namespace");
        reach(object, &format!("spec.hosts[{n}]"), &message, EXPORT)
    });
    found.collect()
}

/// Hosts are used as written. Without an address, a port that is neither HTTP nor distinguished by
/// SNI is one listener for all hosts (`0.0.0.0:PORT`).
fn service_entry(object: &Value) -> Vec<Reach> {
    if !is_exported(object) {
        return Vec::new();
    }
    let mut found = exported(object, "adds", is_own);
    let open = list(object, "/spec/addresses").is_empty();
    for (at, port) in list(object, "/spec/ports").iter().enumerate() {
        let protocol = text(port, "/protocol").to_ascii_uppercase();
        if open && matches!(protocol.as_str(), "" | "TCP" | "MONGO" | "MYSQL" | "REDIS") {
            let number = &port["number"];
            let message = format!("opens port {number} for TCP at every sidecar");
            let help = "add `exportTo: [\".\"]`, or `addresses:`";
            found.push(reach(object, &format!("spec.ports[{at}]"), &message, help));
        }
    }
    found
}

/// A Gateway with an address configures an existing proxy (Istio's manual deployment).
fn listeners(object: &Value) -> Vec<Reach> {
    let addresses = list(object, "/spec/addresses");
    let own = |address: &Value| {
        let value = text(address, "/value");
        value.contains("${namespace}") || !value.contains('.')
    };
    if addresses.iter().all(own) {
        return Vec::new();
    }
    let each = list(object, "/spec/listeners").iter().enumerate();
    let foreign = each.filter(|(_, listener)| !is_own(text(listener, "/hostname")));
    let found = foreign.map(|(at, listener)| {
        let host = text(listener, "/hostname");
        let message = shared_gateway(if host.is_empty() { "*" } else { host });
        reach(object, &format!("spec.listeners[{at}]"), &message, GATEWAY)
    });
    found.collect()
}

/// A route claims its hostnames at a Gateway of another namespace; without any it claims all.
fn route(object: &Value, kind: &str) -> Vec<Reach> {
    let foreign = |parent: &&Value| {
        let namespace = text(parent, "/namespace");
        let gateway = matches!(text(parent, "/kind"), "" | "Gateway");
        gateway && !namespace.is_empty() && !is_own_namespace(namespace)
    };
    if !list(object, "/spec/parentRefs")
        .iter()
        .any(|parent| foreign(&parent))
    {
        return Vec::new();
    }
    let hosts = list(object, "/spec/hostnames");
    if hosts.is_empty() || matches!(kind, "TCPRoute" | "UDPRoute") {
        let message = shared_gateway("*");
        return vec![reach(object, "spec.parentRefs", &message, GATEWAY)];
    }
    each_host(object, hosts, "spec.hostnames", shared_gateway)
}

/// Istio's ingress class is the shared gateway.
fn ingress(object: &Value) -> Vec<Reach> {
    let mut found = Vec::new();
    if object.pointer("/spec/defaultBackend").is_some() {
        found.push(reach(
            object,
            "spec.defaultBackend",
            &shared_gateway("*"),
            GATEWAY,
        ));
    }
    for (at, rule) in list(object, "/spec/rules").iter().enumerate() {
        let host = text(rule, "/host");
        if !is_own(host) {
            let message = shared_gateway(if host.is_empty() { "*" } else { host });
            found.push(reach(
                object,
                &format!("spec.rules[{at}]"),
                &message,
                GATEWAY,
            ));
        }
    }
    found
}

/// Node ports and external addresses belong to the cluster.
fn service(object: &Value) -> Vec<Reach> {
    let mut found = Vec::new();
    if !list(object, "/spec/externalIPs").is_empty() {
        let message = "claims addresses of the cluster's network";
        let help = "omit `externalIPs`";
        found.push(reach(object, "spec.externalIPs", message, help));
    }
    for (at, port) in list(object, "/spec/ports").iter().enumerate() {
        if let Some(number) = port
            .get("nodePort")
            .and_then(Value::as_u64)
            .filter(|number| *number > 0)
        {
            let message = format!("claims port {number} of every node");
            let help = "omit `nodePort`: the cluster then chooses a free one";
            found.push(reach(
                object,
                &format!("spec.ports[{at}].nodePort"),
                &message,
                help,
            ));
        }
    }
    found
}
