//! What Istio's injection makes of a pod, by its annotations and containers.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::Value;

use crate::{
    cluster::pods,
    observe::data_plane::{Plane, envoy::Envoy, grpc::Grpc},
    transport::PodDialer,
};

/// Container that Istio's proxy and agent run in.
pub const PROXY: &str = "istio-proxy";
/// Pod annotation by which Istio leaves ports out of the redirection to the proxy.
pub const EXCLUDED_PORTS: &str = "traffic.sidecar.istio.io/excludeOutboundPorts";
/// Port of the control server's Service; nothing else uses it, and every caller's proxy leaves it
/// out.
pub const CONTROL_SERVICE_PORT: u16 = 15996;
/// The value of [`EXCLUDED_PORTS`] where nothing but [`CONTROL_SERVICE_PORT`] is left out.
pub const CONTROL_PORT_EXCLUDED: &str = "15996";

/// Label of the pods that istiod deploys for a Gateway: the Gateway's name.
pub const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// Annotation by which Istio makes a gateway of a pod instead of adding a sidecar.
const TEMPLATES: &str = "inject.istio.io/templates";

/// The pod is a gateway of this scenario alone (`fixtures/workloads/gateway.yaml`), or was deployed
/// for a Gateway object of it.
pub fn is_gateway(pod: &Pod) -> bool {
    let templates = pod.annotations().get(TEMPLATES);
    templates.is_some_and(|templates| templates == "gateway")
        || pods::label(pod, GATEWAY_NAME).is_some()
}

/// The same of a workload's file.
pub fn is_gateway_file(documents: &[Value]) -> bool {
    let annotations = |document: &Value| {
        document
            .pointer("/spec/template/metadata/annotations")
            .cloned()
    };
    let mut all = documents.iter().filter_map(annotations);
    all.any(|annotations| annotations[TEMPLATES] == "gateway")
}

/// Revision of an Istio that was installed without one.
pub const DEFAULT_REVISION: &str = "default";

/// Revision of the control plane that a pod belongs to (Istio's label or annotation `istio.io/rev`,
/// of its own pods and of those that it injects).
pub fn revision(pod: &Pod) -> String {
    const KEY: &str = "istio.io/rev";
    let said = pod.labels().get(KEY).or_else(|| pod.annotations().get(KEY));
    said.map_or(DEFAULT_REVISION, String::as_str).to_owned()
}

/// The data plane that the proxy of a pod is.
pub fn proxy(dial: &PodDialer, pod: &Pod) -> Plane {
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    Envoy::of(dial, (&namespace, &name), &revision(pod), is_gateway(pod))
}

/// The data plane that a proxyless program of a pod is.
pub fn program(dial: &PodDialer, pod: &Pod) -> Plane {
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    Grpc::of(dial, (&namespace, &name), &revision(pod))
}

/// The pod has Istio's sidecar, as a container or as a native sidecar.
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

/// The pod asks for the `grpc-agent` template (Istio's annotation): its programs talk to the
/// control plane themselves.
pub fn is_proxyless(pod: &Pod) -> bool {
    let templates = pod.annotations().get(TEMPLATES);
    templates.is_some_and(|names| names.split(',').any(|name| name.trim() == "grpc-agent"))
}

/// Annotations by which connections of a pod pass its proxy by, with the value that lets none pass,
/// which injection itself writes (Istio, "Resource Annotations").
const PAST_THE_PROXY: [(&str, &str); 5] = [
    ("traffic.sidecar.istio.io/excludeOutboundIPRanges", ""),
    (EXCLUDED_PORTS, CONTROL_PORT_EXCLUDED),
    ("traffic.sidecar.istio.io/includeOutboundIPRanges", "*"),
    ("traffic.sidecar.istio.io/includeOutboundPorts", "*"),
    ("sidecar.istio.io/interceptionMode", "REDIRECT"),
];

/// Connections of the pod, or some of them, meet the cluster's own network.
pub fn is_plain(pod: &Pod) -> bool {
    let passes = |(key, none): &(&str, &str)| {
        let value = pod.annotations().get(*key);
        value.is_some_and(|value| !value.is_empty() && value != none)
    };
    !is_injected(pod) || is_proxyless(pod) || PAST_THE_PROXY.iter().any(passes)
}

/// The pod has Istio's sidecar beside a program: it is no gateway, and not its own data plane.
pub fn is_sidecar(pod: &Pod) -> bool {
    is_injected(pod) && !is_gateway(pod) && !is_proxyless(pod)
}
