//! The first pods of a world that starts from a snapshot: those of the ReplicaSets in it.
//!
//! The controller manager would create the same pods, but waits for the API server's RBAC policy,
//! which is checked a second after the server begins to answer
//! (`pkg/registry/rbac/rest/storage_rbac.go`). It adopts these, because they are as it would have
//! created them. The ConfigMap with the API server's authority is created here for the same
//! reason: every pod mounts it.

use std::collections::BTreeSet;

use k8s_openapi::{
    api::{
        apps::v1::ReplicaSet,
        core::v1::{ConfigMap, Pod},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, Resource as _, ResourceExt as _,
    api::{ListParams, PostParams},
};

/// Name of the ConfigMap that the controller manager publishes in every namespace
/// (`pkg/controller/certificates/rootcacertpublisher`), and later completes here.
const AUTHORITY: &str = "kube-root-ca.crt";

/// Creates the pods. `authority` is the certificate of the API server's authority.
///
/// # Errors
/// The API server rejects an object. The controller manager then creates what is missing.
pub async fn create(client: &Client, authority: &str) -> Result<(), kube::Error> {
    let sets = Api::<ReplicaSet>::all(client.clone());
    let sets = sets.list(&ListParams::default()).await?.items;
    let namespaces: BTreeSet<String> = sets.iter().filter_map(ReplicaSet::namespace).collect();
    let params = PostParams::default();
    for namespace in namespaces {
        let api = Api::<ConfigMap>::namespaced(client.clone(), &namespace);
        api.create(&params, &config_map(authority)).await?;
    }
    for set in sets {
        let namespace = set.namespace().unwrap_or_default();
        let api = Api::<Pod>::namespaced(client.clone(), &namespace);
        for pod in pods(&set) {
            api.create(&params, &pod).await?;
        }
    }
    Ok(())
}

fn config_map(authority: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(AUTHORITY.to_owned()),
            ..ObjectMeta::default()
        },
        data: Some([("ca.crt".to_owned(), authority.to_owned())].into()),
        ..ConfigMap::default()
    }
}

/// The pods of a ReplicaSet as its controller creates them (`pkg/controller/controller_utils.go`,
/// `GetPodFromTemplate`).
fn pods(set: &ReplicaSet) -> Vec<Pod> {
    let spec = &set.spec;
    let template = spec.template.clone().unwrap_or_default();
    let meta = template.metadata.unwrap_or_default();
    let pod = Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", set.name_any())),
            labels: meta.labels,
            annotations: meta.annotations,
            finalizers: meta.finalizers,
            owner_references: set.controller_owner_ref(&()).map(|mut owner| {
                owner.block_owner_deletion = Some(true);
                vec![owner]
            }),
            ..ObjectMeta::default()
        },
        spec: template.spec,
        status: None,
    };
    let count = usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or(0);
    vec![pod; count]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_is_as_its_controller_would_have_created_it() {
        let set: ReplicaSet = serde_json::from_value(json!({
            "metadata": {"name": "a-5d", "namespace": "n", "uid": "u"},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "a"}}, "template": {
                "metadata": {"labels": {"app": "a"}, "annotations": {"x": "y"}},
                "spec": {"containers": [{"name": "c", "image": "i"}]},
            }},
        }))
        .unwrap();
        let made = pods(&set);
        assert_eq!(made.len(), 2);
        let made = serde_json::to_value(&made[0]).unwrap();
        let expected = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "generateName": "a-5d-", "labels": {"app": "a"}, "annotations": {"x": "y"},
                "ownerReferences": [{
                    "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "a-5d", "uid": "u",
                    "controller": true, "blockOwnerDeletion": true,
                }],
            },
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        });
        assert_eq!(made, expected);
    }
}
