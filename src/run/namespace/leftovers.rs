//! Objects in a namespace that were not there before a scenario.

use futures::future::try_join_all;
use kube::{
    Api,
    api::{ApiResource, ListParams},
};

use super::standing::Standing;
use crate::{mesh::istio::propagation::marker, run::context::RunContext};

/// API groups of which all kinds with a namespace are looked for: what configures meshes.
const GROUPS: [&str; 2] = [".istio.io", "gateway.networking.k8s.io"];
/// Further kinds that scenarios write: those of the core group and of `apps` and `batch`.
const KINDS: [(&str, &str); 9] = [
    ("v1", "Service"),
    ("v1", "Secret"),
    ("v1", "ConfigMap"),
    ("v1", "ServiceAccount"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "Job"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
];
/// Written into every namespace: by Kubernetes (the account `default` and its root certificate)
/// and by istiod (its root certificate, and the certificates that it has revoked).
const EVERYWHERE: [(&str, &str); 4] = [
    ("ServiceAccount", "default"),
    ("ConfigMap", "kube-root-ca.crt"),
    ("ConfigMap", "istio-ca-root-cert"),
    ("ConfigMap", "istio-ca-crl"),
];

/// The first object that neither stays for the next scenario nor is in every namespace.
///
/// # Errors
/// The API server does not list a kind.
pub async fn find(
    ctx: &RunContext,
    namespace: &str,
    standing: &Standing,
) -> Result<Option<String>, kube::Error> {
    let kinds = ctx.writer.kinds_of(&GROUPS, &KINDS).await?;
    let each = kinds.iter().map(|kind| names(ctx, kind, namespace));
    let all = try_join_all(each).await?;
    let objects = kinds.iter().zip(all);
    let mut left = objects.flat_map(|(kind, names)| {
        let others = names
            .into_iter()
            .filter(|name| !is_expected(&kind.kind, name, standing));
        others.map(|name| format!("{} {name}", kind.kind))
    });
    Ok(left.next())
}

fn is_expected(kind: &str, name: &str, standing: &Standing) -> bool {
    let mut written = standing.written.iter();
    EVERYWHERE.contains(&(kind, name))
        || name == marker::NAME
        || written.any(|one| one.kind == kind && one.name == name)
}

async fn names(
    ctx: &RunContext,
    kind: &ApiResource,
    namespace: &str,
) -> Result<Vec<String>, kube::Error> {
    let api: Api<kube::api::DynamicObject> =
        Api::namespaced_with(ctx.client.clone(), namespace, kind);
    let listed = api.list_metadata(&ListParams::default()).await?;
    let names = listed.items.into_iter();
    Ok(names.filter_map(|object| object.metadata.name).collect())
}
