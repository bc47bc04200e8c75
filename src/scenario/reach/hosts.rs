//! Whose a host or a namespace is.

/// The placeholders that differ from scenario to scenario.
const OWN: [&str; 2] = ["${namespace}", "${host}"];

/// The namespace of the scenario, or one that is named after it.
pub fn is_own_namespace(name: &str) -> bool {
    name == "." || name.starts_with("${namespace}")
}

/// No other scenario has this host: it ends with the scenario's own, or lies in its namespace.
/// `NAMESPACE/HOST` is judged by its host.
pub fn is_own(host: &str) -> bool {
    let host = host.rsplit('/').next().unwrap_or(host);
    OWN.iter().any(|own| host.contains(own))
}

/// A host that Istio completes by the namespace of the object (`greeter` →
/// `greeter.NAMESPACE.svc.cluster.local`).
pub fn is_short(host: &str) -> bool {
    !host.contains(['.', '*', '/'])
}
