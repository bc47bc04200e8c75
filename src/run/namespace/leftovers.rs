//! Objects in a namespace that were not there before a scenario, or are not there any more.

use std::collections::BTreeSet;

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

/// What is wrong with a namespace: the first object that neither stays for the next scenario nor is
/// in every namespace, or one that should have stayed.
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
    let there: BTreeSet<(&str, String)> = objects
        .flat_map(|(kind, names)| names.into_iter().map(|name| (kind.kind.as_str(), name)))
        .collect();
    Ok(difference(&there, standing))
}

fn difference(there: &BTreeSet<(&str, String)>, standing: &Standing) -> Option<String> {
    let mut left = there.iter();
    let left = left.find(|(kind, name)| !is_expected(kind, name, standing));
    if let Some((kind, name)) = left {
        return Some(format!("{kind} {name} is left in it"));
    }
    // Roles and their bindings are not listed.
    let listed = |kind: &str| KINDS.iter().any(|(_, known)| *known == kind);
    let mut gone = standing.written.iter();
    let gone = gone.find(|one| {
        let key = (one.kind.as_str(), one.name.clone());
        listed(&one.kind) && !there.contains(&key)
    });
    gone.map(|one| format!("{} {} is gone", one.kind, one.name))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cluster::object::Written, run::namespace::standing::Shape};

    #[rstest::rstest]
    #[case::as_it_was(&[("Deployment", "a"), ("ConfigMap", "istio-ca-root-cert")], None)]
    #[case::more(&[("Deployment", "a"), ("Secret", "b")], Some("Secret b is left in it"))]
    #[case::less(&[("ServiceAccount", "default")], Some("Deployment a is gone"))]
    fn objects_that_should_not_be_there_or_should_are_named(
        #[case] there: &[(&str, &str)],
        #[case] expected: Option<&str>,
    ) {
        let written = |kind: &str, name: &str| Written {
            kind: kind.to_owned(),
            name: name.to_owned(),
            ..Written::default()
        };
        let mut standing = Standing::new(Shape::default(), &[]);
        standing.written = vec![written("Deployment", "a"), written("Role", "unlisted")];
        let there = there.iter().map(|(kind, name)| (*kind, (*name).to_owned()));
        assert_eq!(difference(&there.collect(), &standing).as_deref(), expected);
    }
}
