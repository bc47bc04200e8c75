//! What Istio's injection made of a pod, read from its annotations and containers.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::Value;

use crate::{
    cluster::pods,
    observe::data_plane::{Plane, envoy::Envoy, grpc::Grpc},
    transport::PodDialer,
};

/// Name of the container with Istio's proxy and agent.
pub const PROXY: &str = "istio-proxy";
/// Pod annotation with the ports that Istio excludes from redirection to the proxy.
pub const EXCLUDED_PORTS: &str = "traffic.sidecar.istio.io/excludeOutboundPorts";
/// Port of the control server's Service. Nothing else uses it, and it is excluded from every
/// caller's proxy.
pub const CONTROL_SERVICE_PORT: u16 = 15996;
/// The value of [`EXCLUDED_PORTS`] that excludes only [`CONTROL_SERVICE_PORT`].
pub const CONTROL_PORT_EXCLUDED: &str = "15996";

/// Label of the pods that istiod deploys for a Gateway, with the Gateway's name.
pub const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// Annotation that selects injection templates, e.g. to make the pod a gateway instead of adding
/// a sidecar.
const TEMPLATES: &str = "inject.istio.io/templates";

/// Whether the pod is a gateway of this scenario (`fixtures/workloads/gateway.yaml`), or was
/// deployed for one of its Gateway objects.
pub fn is_gateway(pod: &Pod) -> bool {
    let templates = pod.annotations().get(TEMPLATES);
    templates.is_some_and(|templates| templates == "gateway")
        || pods::label(pod, GATEWAY_NAME).is_some()
}

/// The same for a workload's file.
pub fn is_gateway_file(documents: &[Value]) -> bool {
    uses_template(documents, "gateway")
}

/// Whether a workload's file has pods of [`is_proxyless`].
pub fn is_proxyless_file(documents: &[Value]) -> bool {
    uses_template(documents, AGENT)
}

fn uses_template(documents: &[Value], template: &str) -> bool {
    let annotations = |document: &Value| {
        document
            .pointer("/spec/template/metadata/annotations")
            .cloned()
    };
    let mut all = documents.iter().filter_map(annotations);
    all.any(|annotations| {
        let names = annotations[TEMPLATES].as_str().unwrap_or_default();
        names.split(',').any(|name| name.trim() == template)
    })
}

/// Template of pods whose programs talk to the control plane themselves.
const AGENT: &str = "grpc-agent";

/// Revision of an Istio that was installed without naming one.
pub const DEFAULT_REVISION: &str = "default";

/// Revision of the control plane that a pod belongs to (Istio's label or annotation
/// `istio.io/rev`, on its own pods and on those that it injects).
pub fn revision(pod: &Pod) -> String {
    const KEY: &str = "istio.io/rev";
    let answer = pod.labels().get(KEY).or_else(|| pod.annotations().get(KEY));
    answer.map_or(DEFAULT_REVISION, String::as_str).to_owned()
}

/// A pod's proxy as a data plane.
pub fn proxy(dial: &PodDialer, pod: &Pod) -> Plane {
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    Envoy::of(dial, (&namespace, &name), &revision(pod), is_gateway(pod))
}

/// A pod's proxyless program as a data plane.
pub fn program(dial: &PodDialer, pod: &Pod) -> Plane {
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    Grpc::of(dial, (&namespace, &name), &revision(pod))
}

/// Whether the pod has Istio's sidecar, as a container or as a native sidecar.
pub fn is_injected(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    let containers = spec
        .map(|spec| spec.containers.as_slice())
        .unwrap_or_default();
    let early = spec
        .and_then(|spec| spec.init_containers.as_deref())
        .unwrap_or_default();
    containers
        .iter()
        .chain(early)
        .any(|container| container.name == PROXY)
}

/// Whether the pod uses the `grpc-agent` template (Istio's annotation): its programs talk to the
/// control plane themselves.
pub fn is_proxyless(pod: &Pod) -> bool {
    let templates = pod.annotations().get(TEMPLATES);
    templates.is_some_and(|names| names.split(',').any(|name| name.trim() == AGENT))
}

/// Annotations that let connections of a pod bypass its proxy, each with the value that bypasses
/// none, which injection itself writes (Istio, "Resource Annotations").
const PAST_THE_PROXY: [(&str, &str); 5] = [
    ("traffic.sidecar.istio.io/excludeOutboundIPRanges", ""),
    (EXCLUDED_PORTS, CONTROL_PORT_EXCLUDED),
    ("traffic.sidecar.istio.io/includeOutboundIPRanges", "*"),
    ("traffic.sidecar.istio.io/includeOutboundPorts", "*"),
    ("sidecar.istio.io/interceptionMode", "REDIRECT"),
];

/// Whether some or all connections of the pod bypass the mesh.
pub fn is_plain(pod: &Pod) -> bool {
    let passes = |(key, none): &(&str, &str)| {
        let value = pod.annotations().get(*key);
        value.is_some_and(|value| !value.is_empty() && value != none)
    };
    !is_injected(pod) || is_proxyless(pod) || PAST_THE_PROXY.iter().any(passes)
}

/// Whether the pod has Istio's sidecar next to a program, so it is neither a gateway nor its own
/// data plane.
pub fn is_sidecar(pod: &Pod) -> bool {
    is_injected(pod) && !is_gateway(pod) && !is_proxyless(pod)
}
