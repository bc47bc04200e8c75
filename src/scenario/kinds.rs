//! What is known of kinds of objects without asking an API server.

/// Versions that are served no longer, with what to write in their place. Sources: Kubernetes' deprecated API migration guide, Istio's
/// notes of 1.6 (`authentication.istio.io`, `rbac.istio.io`) and 1.8 (`config.istio.io`), Gateway API's versions of 1.1.
const REMOVED: &[(&str, &[&str], &str)] = &[
    (
        "extensions/v1beta1",
        &["Deployment", "DaemonSet", "ReplicaSet"],
        "write apps/v1, with `spec.selector`",
    ),
    (
        "apps/v1beta1",
        &["Deployment", "StatefulSet"],
        "write apps/v1, with `spec.selector`",
    ),
    (
        "apps/v1beta2",
        &["Deployment", "DaemonSet", "ReplicaSet", "StatefulSet"],
        "write apps/v1, with `spec.selector`",
    ),
    ("extensions/v1beta1", &["Ingress"], INGRESS),
    ("networking.k8s.io/v1beta1", &["Ingress"], INGRESS),
    (
        "extensions/v1beta1",
        &["NetworkPolicy"],
        "write networking.k8s.io/v1",
    ),
    (
        "networking.k8s.io/v1beta1",
        &["IngressClass"],
        "write networking.k8s.io/v1",
    ),
    (
        "policy/v1beta1",
        &["PodDisruptionBudget"],
        "write policy/v1",
    ),
    ("batch/v1beta1", &["CronJob"], "write batch/v1"),
    (
        "autoscaling/v2beta1",
        &["HorizontalPodAutoscaler"],
        "write autoscaling/v2",
    ),
    (
        "autoscaling/v2beta2",
        &["HorizontalPodAutoscaler"],
        "write autoscaling/v2",
    ),
    (
        "rbac.authorization.k8s.io/v1beta1",
        &["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"],
        "write rbac.authorization.k8s.io/v1",
    ),
    (
        "discovery.k8s.io/v1beta1",
        &["EndpointSlice"],
        "write discovery.k8s.io/v1",
    ),
    (
        "authentication.istio.io/v1alpha1",
        &["Policy", "MeshPolicy"],
        "write security.istio.io/v1 PeerAuthentication (mutual TLS) or RequestAuthentication (tokens)",
    ),
    (
        "rbac.istio.io/v1alpha1",
        &[
            "ServiceRole",
            "ServiceRoleBinding",
            "RbacConfig",
            "ClusterRbacConfig",
        ],
        "write security.istio.io/v1 AuthorizationPolicy",
    ),
    (
        "config.istio.io/v1alpha2",
        &["handler", "instance", "rule", "HTTPAPISpec", "QuotaSpec"],
        "Mixer is gone: write telemetry.istio.io/v1 Telemetry, or security.istio.io/v1 AuthorizationPolicy",
    ),
    (
        "gateway.networking.k8s.io/v1alpha2",
        &["Gateway", "GatewayClass", "HTTPRoute", "GRPCRoute"],
        "write gateway.networking.k8s.io/v1",
    ),
    (
        "networking.x-k8s.io/v1alpha1",
        &["Gateway", "GatewayClass", "HTTPRoute"],
        "write gateway.networking.k8s.io/v1",
    ),
];
const INGRESS: &str =
    "write networking.k8s.io/v1, with `pathType` and `backend: {service: {name, port: {number}}}`";

/// What to write in place of a version that is served no longer.
pub fn served_instead(api_version: &str, kind: &str) -> Option<&'static str> {
    let rows = REMOVED.iter();
    rows.filter(|(version, kinds, _)| *version == api_version && kinds.contains(&kind))
        .map(|(_, _, instead)| *instead)
        .next()
}
