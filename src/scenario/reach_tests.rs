use rstest::rstest;

use super::*;
use crate::scenario::{Suites, load_all};

fn all(text: &str) -> Vec<String> {
    let documents = crate::yaml::documents(text).expect("YAML");
    let each = documents.iter().flat_map(|read| {
        let found = reaches(&read.value);
        for reach in &found {
            assert!(read.places.has(&reach.at), "no position for {}", reach.at);
        }
        found
    });
    each.map(|reach| format!("{}: {}", reach.at, reach.message))
        .collect()
}

fn istio(kind: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: {kind}\nmetadata: {{name: x}}\nspec: {spec}\n"
    )
}

const SHARED: &str = "selector: {istio: ingressgateway}";

#[rstest]
#[case::pasted(
    SHARED,
    80,
    "HTTP",
    r#"["*"]"#,
    Some("spec.servers[0].hosts[0]: Gateway x claims every host on the shared gateway")
)]
#[case::by_placeholder(
    r#"selector: {istio: "${gateway}"}"#,
    80,
    "HTTP",
    r#"["*"]"#,
    Some("spec.servers[0].hosts[0]")
)]
#[case::every_namespace(SHARED, 80, "HTTP", r#"["*/*"]"#, Some("claims every host"))]
#[case::another_host(
    SHARED,
    80,
    "HTTP",
    r#"["a.${host}", nobody.example.test]"#,
    Some("spec.servers[0].hosts[1]: Gateway x claims the host nobody.example.test")
)]
#[case::no_selector("selector: {}", 80, "HTTP", r#"["*"]"#, Some("every host"))]
#[case::by_another_label(
    "selector: {app: istio-ingressgateway}",
    80,
    "HTTP",
    r#"["*"]"#,
    Some("every host")
)]
#[case::own_host(SHARED, 80, "GRPC", r#"["${host}", "*.${host}", "./a.${host}"]"#, None)]
#[case::own_gateway(r#"selector: {istio: "${namespace}"}"#, 80, "TCP", r#"["*"]"#, None)]
#[case::tls_by_name(SHARED, 443, "HTTPS", r#"["${host}"]"#, None)]
#[case::tcp_has_no_hosts(
    SHARED,
    9000,
    "TCP",
    r#"["${host}"]"#,
    Some("makes port 9000 of the shared gateway one for TCP")
)]
#[case::tls_where_others_have_http(
    SHARED,
    80,
    "HTTPS",
    r#"["${host}"]"#,
    Some("spec.servers[0].port: Gateway x makes port 80")
)]
#[case::http_where_others_have_tls(SHARED, 443, "HTTP", r#"["${host}"]"#, Some("makes port 443"))]
fn a_gateway_is_its_own_or_takes_its_own_hosts(
    #[case] selector: &str,
    #[case] port: u16,
    #[case] protocol: &str,
    #[case] hosts: &str,
    #[case] found: Option<&str>,
) {
    let server =
        format!("{{port: {{number: {port}, name: p, protocol: {protocol}}}, hosts: {hosts}}}");
    let seen = all(&istio(
        "Gateway",
        &format!("{{{selector}, servers: [{server}]}}"),
    ));
    one(&seen, found);
}

#[track_caller]
fn one(seen: &[String], found: Option<&str>) {
    match (seen, found) {
        ([], None) => {}
        ([seen], Some(message)) => assert!(seen.contains(message), "{seen}"),
        _ => panic!("{seen:?}, expected {found:?}"),
    }
}

#[rstest]
#[case::own_gateway(r#"hosts: ["*"], gateways: [entry]"#, None)]
#[case::own_gateway_by_namespace(r#"hosts: ["*"], gateways: ["${namespace}/entry"]"#, None)]
#[case::a_gateway_of_others(
    r#"hosts: ["*"], gateways: [istio-system/main]"#,
    Some("spec.hosts[0]: VirtualService x claims every host")
)]
#[case::a_gateway_of_others_own_host(r#"hosts: ["${host}"], gateways: [istio-system/main]"#, None)]
#[case::in_the_mesh("hosts: [greeter]", None)]
#[case::in_the_mesh_by_full_name(r#"hosts: ["greeter.${namespace}.svc.cluster.local"]"#, None)]
#[case::a_host_of_others(
    "hosts: [pay.example.test], gateways: [entry, mesh]",
    Some("spec.hosts[0]: VirtualService x routes the host pay.example.test for every namespace")
)]
#[case::a_host_of_others_hidden(r#"hosts: [pay.example.test], exportTo: ["."]"#, None)]
#[case::a_host_of_others_half_hidden(
    r#"hosts: [pay.example.test], exportTo: [".", "*"]"#,
    Some("routes the host")
)]
fn a_virtual_service_routes_hosts_of_its_own(#[case] spec: &str, #[case] found: Option<&str>) {
    one(
        &all(&istio("VirtualService", &format!("{{{spec}}}"))),
        found,
    );
}

#[rstest]
#[case::exported(
    "hosts: [pay.example.test], ports: [{number: 80, name: h, protocol: HTTP}]",
    Some("spec.hosts[0]: ServiceEntry x adds the host pay.example.test")
)]
#[case::exported_short(
    "hosts: [pay], ports: [{number: 80, name: h, protocol: HTTP}]",
    Some("adds the host pay")
)]
#[case::hidden(
    r#"hosts: [pay.example.test], exportTo: ["."], ports: [{number: 80, name: t, protocol: TCP}]"#,
    None
)]
#[case::own_host(
    r#"hosts: ["${host}"], ports: [{number: 80, name: h, protocol: GRPC}]"#,
    None
)]
#[case::own_host_whole_port(
    r#"hosts: ["${host}"], ports: [{number: 3306, name: t, protocol: TCP}]"#,
    Some("spec.ports[0]: ServiceEntry x opens port 3306")
)]
#[case::own_host_own_address(r#"hosts: ["${host}"], addresses: [198.51.100.7], ports: [{number: 3306, name: t, protocol: TCP}]"#, None)]
fn a_service_entry_adds_hosts_of_its_own(#[case] spec: &str, #[case] found: Option<&str>) {
    one(&all(&istio("ServiceEntry", &format!("{{{spec}}}"))), found);
}

#[rstest]
#[case::root(
    "security.istio.io/v1",
    "AuthorizationPolicy",
    "istio-system",
    Some("metadata.namespace: AuthorizationPolicy x is in the mesh's root namespace")
)]
#[case::filter(
    "networking.istio.io/v1alpha3",
    "EnvoyFilter",
    "istio-system",
    Some("root namespace")
)]
#[case::another(
    "networking.istio.io/v1",
    "DestinationRule",
    "microservices",
    Some("the namespace microservices")
)]
#[case::own("security.istio.io/v1", "PeerAuthentication", "${namespace}", None)]
#[case::named_after_own(
    "networking.istio.io/v1",
    "DestinationRule",
    "${namespace}-third",
    None
)]
fn objects_stand_in_the_scenarios_namespace(
    #[case] version: &str,
    #[case] kind: &str,
    #[case] namespace: &str,
    #[case] found: Option<&str>,
) {
    let text = format!(
        "apiVersion: {version}\nkind: {kind}\nmetadata: {{name: x, namespace: \"{namespace}\"}}\nspec: {{}}\n"
    );
    one(&all(&text), found);
}

#[rstest]
#[case("v1", "Namespace", "${namespace}-third", None)]
#[case(
    "v1",
    "Namespace",
    "third",
    Some("metadata.name: Namespace third is cluster-scoped")
)]
#[case(
    "rbac.authorization.k8s.io/v1",
    "ClusterRole",
    "reader",
    Some("cluster-scoped")
)]
fn objects_of_the_cluster_are_everybodys(
    #[case] version: &str,
    #[case] kind: &str,
    #[case] name: &str,
    #[case] found: Option<&str>,
) {
    let text = format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: \"{name}\"}}\n");
    one(&all(&text), found);
}

#[rstest]
#[case::all_hosts(
    "GRPCRoute",
    r#"parentRefs: [{name: "${gateway}", namespace: istio-system}]"#,
    Some("spec.parentRefs: GRPCRoute x claims every host")
)]
#[case::own_host(
    "GRPCRoute",
    r#"parentRefs: [{name: "${gateway}", namespace: istio-system}], hostnames: ["${host}"]"#,
    None
)]
#[case::foreign_host(
    "HTTPRoute",
    r#"parentRefs: [{name: "${gateway}", namespace: istio-system}], hostnames: [a.example.test]"#,
    Some("spec.hostnames[0]")
)]
#[case::own_gateway("HTTPRoute", "parentRefs: [{name: entry}]", None)]
#[case::a_service(
    "GRPCRoute",
    r#"parentRefs: [{group: "", kind: Service, name: greeter}]"#,
    None
)]
#[case::deployed_gateway(
    "Gateway",
    "gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]",
    None
)]
#[case::manual_gateway(
    "Gateway",
    "addresses: [{value: istio-ingressgateway.istio-system.svc.cluster.local}], listeners: [{name: http, port: 80, protocol: HTTP}]",
    Some("spec.listeners[0]: Gateway x claims every host")
)]
fn routes_of_gateway_api_take_hosts_of_their_own(
    #[case] kind: &str,
    #[case] spec: &str,
    #[case] found: Option<&str>,
) {
    let text = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: x}}\nspec: {{{spec}}}\n"
    );
    one(&all(&text), found);
}

#[rstest]
#[case::ingress(
    "networking.k8s.io/v1",
    "Ingress",
    "rules: [{http: {paths: []}}]",
    Some("spec.rules[0]: Ingress x claims every host")
)]
#[case::own_ingress(
    "networking.k8s.io/v1",
    "Ingress",
    r#"rules: [{host: "${host}"}]"#,
    None
)]
#[case::node_port(
    "v1",
    "Service",
    "ports: [{port: 80, nodePort: 30080}]",
    Some("spec.ports[0].nodePort: Service x claims port 30080")
)]
#[case::plain("v1", "Service", "ports: [{port: 80}]", None)]
#[case::addresses("v1", "Service", "externalIPs: [10.0.0.1]", Some("spec.externalIPs"))]
fn ingresses_and_services_keep_to_themselves(
    #[case] version: &str,
    #[case] kind: &str,
    #[case] spec: &str,
    #[case] found: Option<&str>,
) {
    let text =
        format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: x}}\nspec: {{{spec}}}\n");
    one(&all(&text), found);
}

#[test]
fn the_built_in_scenarios_keep_to_themselves() {
    let suites = Suites::open(std::path::Path::new(env!("CARGO_MANIFEST_DIR")));
    let set = load_all(&suites, &[]).expect("the suites");
    let found = set.scenarios.iter().flat_map(find);
    let parts: Vec<String> = found
        .map(|found| {
            format!(
                "{} document {}: {}",
                found.file.file, found.document, found.reach.message
            )
        })
        .collect();
    assert_eq!(parts, Vec::<String>::new());
}
