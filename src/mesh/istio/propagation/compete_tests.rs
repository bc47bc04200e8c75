use rstest::rstest;

use super::*;

/// Parses `KIND NAME: SPEC`, with the API group that has the kind.
fn object(text: &str) -> Value {
    let (head, spec) = text.split_once(": ").expect("KIND NAME: SPEC");
    let (kind, name) = head.split_once(' ').expect("KIND NAME");
    let (name, namespace) = name.split_once('@').unwrap_or((name, "ns"));
    let version = match kind {
        "Service" => "v1",
        "PeerAuthentication" | "RequestAuthentication" | "AuthorizationPolicy" => {
            "security.istio.io/v1"
        }
        "Telemetry" => "telemetry.istio.io/v1",
        "WasmPlugin" => "extensions.istio.io/v1alpha1",
        "HTTPRoute" | "GRPCRoute" | "BackendTLSPolicy" => "gateway.networking.k8s.io/v1",
        _ => "networking.istio.io/v1",
    };
    let text = format!(
        "apiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{{spec}}}"
    );
    crate::yaml::documents(&text).expect("YAML").remove(0).value
}

const EDGE: &str = "selector: {istio: ingressgateway}, servers: [{port: {number: 80, protocol: HTTP}, hosts: [a.test]}]";

#[rstest]
#[case::one_host(
    "VirtualService z: hosts: [web]",
    "VirtualService a: hosts: [web]",
    true
)]
#[case::one_host_by_its_full_name(
    "VirtualService z: hosts: [web]",
    "VirtualService a: hosts: [web.ns.svc.cluster.local]",
    true
)]
#[case::wildcard(
    "VirtualService z: hosts: ['*.example.test']",
    "VirtualService a: hosts: [b.example.test]",
    true
)]
#[case::other_hosts(
    "VirtualService z: hosts: [web]",
    "VirtualService a: hosts: [api]",
    false
)]
#[case::short_names_elsewhere(
    "VirtualService z: hosts: [web]",
    "VirtualService a@other: hosts: [web]",
    false
)]
#[case::at_a_gateway(
    "VirtualService z: hosts: [a.test], gateways: [edge]",
    "VirtualService a: hosts: [a.test], gateways: [ns/edge]",
    true
)]
#[case::gateway_and_mesh(
    "VirtualService z: hosts: [a.test], gateways: [edge]",
    "VirtualService a: hosts: [a.test]",
    false
)]
#[case::itself(
    "VirtualService a: hosts: [web]",
    "VirtualService a: hosts: [web]",
    false
)]
#[case::routes(
    "HTTPRoute z: parentRefs: [{name: edge}], hostnames: [a.test]",
    "GRPCRoute a: parentRefs: [{name: edge}]",
    true
)]
#[case::routes_at_two_gateways(
    "HTTPRoute z: parentRefs: [{name: edge}]",
    "GRPCRoute a: parentRefs: [{name: other}]",
    false
)]
#[case::route_of_a_service(
    "GRPCRoute z: parentRefs: [{kind: Service, name: web}]",
    "VirtualService a: hosts: [web]",
    true
)]
#[case::rules_of_one_host(
    "DestinationRule z: host: web",
    "DestinationRule a: host: web.ns.svc.cluster.local",
    true
)]
#[case::rules_of_two_hosts("DestinationRule z: host: web", "DestinationRule a: host: api", false)]
#[case::rule_for_some(
    "DestinationRule z: host: web",
    "DestinationRule a: host: web, workloadSelector: {matchLabels: {app: x}}",
    false
)]
#[case::entries(
    "ServiceEntry z: hosts: [a.test]",
    "ServiceEntry a: hosts: [a.test, b.test]",
    true
)]
#[case::sidecars("Sidecar z: egress: []", "Sidecar a: egress: []", true)]
#[case::sidecars_of_one_pod(
    "Sidecar z: workloadSelector: {labels: {app: x}}",
    "Sidecar a: workloadSelector: {labels: {version: v1}}",
    true
)]
#[case::sidecars_of_two_pods(
    "Sidecar z: workloadSelector: {labels: {app: x}}",
    "Sidecar a: workloadSelector: {labels: {app: y}}",
    false
)]
#[case::a_sidecar_with_a_selector_wins(
    "Sidecar z: egress: []",
    "Sidecar a: workloadSelector: {labels: {app: y}}",
    false
)]
#[case::sidecars_elsewhere("Sidecar z: egress: []", "Sidecar a@other: egress: []", false)]
#[case::peers(
    "PeerAuthentication z: mtls: {mode: STRICT}",
    "PeerAuthentication a: mtls: {mode: DISABLE}",
    true
)]
#[case::telemetry("Telemetry z: tracing: []", "Telemetry a: tracing: []", true)]
#[case::filters(
    "EnvoyFilter z: configPatches: []",
    "EnvoyFilter a: workloadSelector: {labels: {app: x}}",
    true
)]
#[case::filters_with_priorities("EnvoyFilter z: priority: 1", "EnvoyFilter a: priority: 2", false)]
#[case::plugins("WasmPlugin z: url: x", "WasmPlugin a: url: y", true)]
#[case::policies_add_up(
    "AuthorizationPolicy z: action: DENY",
    "AuthorizationPolicy a: action: ALLOW",
    false
)]
#[case::attached(
    "BackendTLSPolicy z: targetRefs: [{kind: Service, name: web}]",
    "BackendTLSPolicy a: targetRefs: [{kind: Service, name: web}]",
    true
)]
#[case::one_pod_port(
    "Service z: selector: {app: x}, ports: [{port: 80}]",
    "Service a: selector: {app: x}, ports: [{port: 8080, targetPort: 80}]",
    true
)]
#[case::two_versions(
    "Service z: selector: {version: v1}, ports: [{port: 80}]",
    "Service a: selector: {version: v2}, ports: [{port: 80}]",
    false
)]
#[case::two_pod_ports(
    "Service z: selector: {app: x}, ports: [{port: 80}]",
    "Service a: selector: {app: x}, ports: [{port: 81}]",
    false
)]
fn what_counts_by_age_competes(#[case] a: &str, #[case] b: &str, #[case] found: bool) {
    let (a, b) = (object(a), object(b));
    assert_eq!(competes(&a, &b, "ns"), found);
    assert_eq!(competes(&b, &a, "ns"), found, "the other way round");
}

#[rstest]
#[case::one_host(EDGE, true)]
#[case::another_host(&EDGE.replace("a.test", "b.test"), false)]
#[case::all_hosts(&EDGE.replace("a.test", "'*'"), true)]
#[case::another_protocol(&EDGE.replace("a.test", "b.test").replace("HTTP", "HTTPS"), true)]
#[case::another_port(&EDGE.replace("80", "443"), false)]
#[case::another_gateway(&EDGE.replace("ingressgateway", "ns"), false)]
fn gateways_compete_for_ports_and_hosts(#[case] other: &str, #[case] found: bool) {
    let (a, b) = (
        object(&format!("Gateway a: {EDGE}")),
        object(&format!("Gateway b: {other}")),
    );
    assert_eq!(competes(&a, &b, "ns"), found);
}

#[test]
fn names_decide_within_a_second() {
    let (z, a) = (
        object("VirtualService z-page: hosts: [web]"),
        object("VirtualService a-api: hosts: [web]"),
    );
    assert!(sorts_before(&a, &z, "ns") && !sorts_before(&z, &a, "ns"));
}
