//! Whether a host or a namespace belongs to the scenario.

/// The placeholders that differ from scenario to scenario.
const OWN: [&str; 2] = ["${namespace}", "${host}"];

/// Whether it is the scenario's namespace, or one named after it.
pub fn is_own_namespace(name: &str) -> bool {
    name == "." || name.starts_with("${namespace}")
}

/// Whether the host belongs to this scenario alone: it ends with the scenario's own host, or is in
/// its namespace. For `NAMESPACE/HOST` the host decides.
pub fn is_own(host: &str) -> bool {
    let host = host.rsplit('/').next().unwrap_or(host);
    OWN.iter().any(|own| host.contains(own))
}

/// Whether Istio completes the host with the namespace of the object (`greeter` →
/// `greeter.NAMESPACE.svc.cluster.local`).
pub fn is_short(host: &str) -> bool {
    !host.contains(['.', '*', '/'])
}
