//! Facts about kinds of objects that need no API server.

/// Versions that are no longer served, with their replacements. Sources: Kubernetes' deprecated API
/// migration guide, Istio's release notes of 1.6 (`authentication.istio.io`, `rbac.istio.io`) and
/// 1.8 (`config.istio.io`), Gateway API's versions of 1.1.
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

/// What to write instead of a version that is no longer served.
pub fn served_instead(api_version: &str, kind: &str) -> Option<&'static str> {
    let rows = REMOVED.iter();
    rows.filter(|(version, kinds, _)| *version == api_version && kinds.contains(&kind))
        .map(|(_, _, instead)| *instead)
        .next()
}

/// Cluster-scoped kinds by API group: those of Kubernetes 1.36, Gateway API and Istio. Discovery
/// from an API server takes precedence.
const CLUSTER_SCOPED: &[(&str, &[&str])] = &[
    (
        "",
        &["Namespace", "Node", "PersistentVolume", "ComponentStatus"],
    ),
    (
        "admissionregistration.k8s.io",
        &[
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
        ],
    ),
    ("apiextensions.k8s.io", &["CustomResourceDefinition"]),
    ("apiregistration.k8s.io", &["APIService"]),
    (
        "authentication.k8s.io",
        &["SelfSubjectReview", "TokenReview"],
    ),
    (
        "authorization.k8s.io",
        &[
            "SelfSubjectAccessReview",
            "SelfSubjectRulesReview",
            "SubjectAccessReview",
        ],
    ),
    (
        "certificates.k8s.io",
        &["CertificateSigningRequest", "ClusterTrustBundle"],
    ),
    (
        "flowcontrol.apiserver.k8s.io",
        &["FlowSchema", "PriorityLevelConfiguration"],
    ),
    ("gateway.networking.k8s.io", &["GatewayClass"]),
    ("gateway.networking.x-k8s.io", &["XMesh"]),
    ("internal.apiserver.k8s.io", &["StorageVersion"]),
    (
        "networking.k8s.io",
        &["IPAddress", "IngressClass", "ServiceCIDR"],
    ),
    ("node.k8s.io", &["RuntimeClass"]),
    (
        "rbac.authorization.k8s.io",
        &["ClusterRole", "ClusterRoleBinding"],
    ),
    (
        "resource.k8s.io",
        &["DeviceClass", "DeviceTaintRule", "ResourceSlice"],
    ),
    ("scheduling.k8s.io", &["PriorityClass"]),
    (
        "storage.k8s.io",
        &[
            "CSIDriver",
            "CSINode",
            "StorageClass",
            "VolumeAttachment",
            "VolumeAttributesClass",
        ],
    ),
    ("storagemigration.k8s.io", &["StorageVersionMigration"]),
];

/// Whether the kind is cluster-scoped, as far as its group and name tell without a server.
pub fn is_cluster_scoped(api_version: &str, kind: &str) -> bool {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let of_group = CLUSTER_SCOPED.iter().filter(|(known, _)| *known == group);
    of_group
        .flat_map(|(_, kinds)| *kinds)
        .any(|known| *known == kind)
}
