//! Records a snapshot: waits until everything is installed, removes what belongs to this life of
//! the control plane, and packs etcd's files.
//!
//! There is no node yet, so no pod has run: controllers have only created the objects that a
//! Deployment leads to.

use std::{io, path::Path, time::Duration};

use k8s_openapi::{
    api::apps::v1::{Deployment, ReplicaSet},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;

use super::{
    daemons::Daemon,
    spec::WorldSpec,
    store::{self, StoreError},
};
use crate::{
    errors::chain,
    targets::local::snapshot::archive,
    timeouts::timeouts,
    wait::{self, Look},
};

/// Why a snapshot was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("the installation was not complete within {limit:?}: {last}")]
    Incomplete { limit: Duration, last: String },
    #[error("cannot read or reset the state of workloads")]
    Workloads(#[source] kube::Error),
    #[error("cannot read the state of CustomResourceDefinitions")]
    Definitions(#[source] kube::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Waits until the harness has installed everything, every CustomResourceDefinition is established,
/// and controllers have created the pods of every Deployment.
///
/// # Errors
/// [`RecordError::Incomplete`].
pub async fn installed(spec: &WorldSpec, client: &Client) -> Result<(), RecordError> {
    let limit = timeouts().mesh.install;
    let done = wait::until(limit, async |_| {
        if !spec.installed().exists() {
            return Ok(Look::Unmet("objects are being applied".to_owned()));
        }
        let (deployments, sets) = workloads(client).await?;
        if let Some(name) = unsettled(&deployments, &sets) {
            return Ok(Look::Unmet(format!("Deployment {name} has no pods yet")));
        }
        let definitions = Api::<CustomResourceDefinition>::all(client.clone());
        let listed = definitions.list(&ListParams::default()).await;
        let listed = listed.map_err(RecordError::Definitions)?;
        Ok(match not_served(&listed.items) {
            None => Look::Met(()),
            Some(name) => Look::Unmet(format!("{name} is not established yet")),
        })
    });
    done.await.map_err(|error| {
        error.or_late(|late| RecordError::Incomplete {
            limit,
            last: late.last_seen,
        })
    })
}

async fn workloads(client: &Client) -> Result<(Vec<Deployment>, Vec<ReplicaSet>), RecordError> {
    let all = ListParams::default();
    let deployments = Api::<Deployment>::all(client.clone());
    let sets = Api::<ReplicaSet>::all(client.clone());
    let both = tokio::try_join!(deployments.list(&all), sets.list(&all));
    let (deployments, sets) = both.map_err(RecordError::Workloads)?;
    Ok((deployments.items, sets.items))
}

/// A Deployment whose ReplicaSet does not have its pods.
fn unsettled(deployments: &[Deployment], sets: &[ReplicaSet]) -> Option<String> {
    let settled = |deployment: &Deployment| {
        let own = |set: &&ReplicaSet| {
            let mut owners = set.owner_references().iter();
            owners.any(|owner| Some(&owner.uid) == deployment.metadata.uid.as_ref())
        };
        sets.iter().filter(own).any(|set| {
            let expected = set.spec.replicas;
            expected == set.status.as_ref().map(|status| status.replicas)
        })
    };
    let mut unsettled = deployments.iter().filter(|&one| !settled(one));
    unsettled.next().map(|one| one.name_any())
}

/// A CustomResourceDefinition that is not established. An API server that finds accepted names
/// beside that state at its start never completes it: `pkg/controller/status/naming_controller.go`
/// of apiextensions-apiserver does nothing if names have not changed.
fn not_served(definitions: &[CustomResourceDefinition]) -> Option<String> {
    let established = |one: &&CustomResourceDefinition| {
        let status = one.status.iter();
        let mut conditions = status.flat_map(|status| status.conditions.iter().flatten());
        conditions.any(|each| each.type_ == "Established" && each.status == "True")
    };
    let mut pending = definitions.iter().filter(|one| !established(one));
    pending.next().map(|one| one.name_any())
}

/// Removes what controllers recorded about pods, as if none had been created. Controllers must
/// not run.
///
/// # Errors
/// [`RecordError::Workloads`].
pub async fn forget_pods(client: &Client) -> Result<(), RecordError> {
    let (deployments, sets) = workloads(client).await?;
    let params = PatchParams::default();
    let empty = Patch::Merge(json!({"status": {
        "observedGeneration": null, "replicas": 0, "updatedReplicas": null,
        "unavailableReplicas": null, "conditions": null,
    }}));
    for deployment in deployments {
        let namespace = deployment.namespace().unwrap_or_default();
        let api = Api::<Deployment>::namespaced(client.clone(), &namespace);
        api.patch_status(&deployment.name_any(), &params, &empty)
            .await
            .map_err(RecordError::Workloads)?;
    }
    let empty = Patch::Merge(json!({"status": {
        "observedGeneration": null, "replicas": 0, "fullyLabeledReplicas": null,
    }}));
    for set in sets {
        let namespace = set.namespace().unwrap_or_default();
        let api = Api::<ReplicaSet>::namespaced(client.clone(), &namespace);
        api.patch_status(&set.name_any(), &params, &empty)
            .await
            .map_err(RecordError::Workloads)?;
    }
    Ok(())
}

/// Ends etcd, without the objects that a new control plane must not find, and packs its files. A
/// file that cannot be written is only logged: the world does not need it.
///
/// etcd is killed, because it would wait for clients for five seconds. Without fsync, too, it hands
/// every entry of its log to the kernel before it answers (`server/storage/wal/wal.go`, `sync`).
///
/// # Errors
/// [`RecordError::Store`].
pub async fn pack(spec: &WorldSpec, etcd: Daemon, file: &Path) -> Result<(), RecordError> {
    store::remove_transient().await?;
    etcd.kill().await;
    let packed = archive::pack(&spec.store(), file);
    if let Err(error) = packed {
        tracing::warn!(error = %chain(&error), "the snapshot was not written");
    }
    Ok(())
}

/// Tells the harness that the control plane runs from the recorded store.
///
/// # Errors
/// The file cannot be removed.
pub fn restarted(spec: &WorldSpec) -> io::Result<()> {
    std::fs::remove_file(spec.installed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(name: &str) -> Deployment {
        serde_json::from_value(json!({"metadata": {"name": name, "uid": name}})).unwrap()
    }

    fn set(owner: &str, expected: i32, created: i32) -> ReplicaSet {
        let set = json!({
            "metadata": {"name": format!("{owner}-1"), "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "Deployment", "name": owner, "uid": owner}]},
            "spec": {"replicas": expected, "selector": {}},
            "status": {"replicas": created},
        });
        serde_json::from_value(set).unwrap()
    }

    #[test]
    fn an_installation_is_complete_when_every_deployment_has_its_pods() {
        let both = [deployment("a"), deployment("b")];
        let none = unsettled(&both, &[set("a", 1, 1)]);
        assert_eq!(none.as_deref(), Some("b"), "no ReplicaSet");
        let some = unsettled(&both, &[set("a", 2, 1), set("b", 1, 1)]);
        assert_eq!(some.as_deref(), Some("a"), "a pod is missing");
        assert_eq!(unsettled(&both, &[set("a", 1, 1), set("b", 1, 1)]), None);
        assert_eq!(unsettled(&[], &[]), None);
    }

    fn definition(name: &str, established: &str) -> CustomResourceDefinition {
        let definition = json!({
            "metadata": {"name": name},
            "spec": {"group": "a.test", "names": {"kind": "A", "plural": "as"}, "scope": "Cluster", "versions": []},
            "status": {"conditions": [
                {"type": "NamesAccepted", "status": "True", "reason": "NoConflicts", "message": ""},
                {"type": "Established", "status": established, "reason": "Installing", "message": ""}]},
        });
        serde_json::from_value(definition).unwrap()
    }

    #[test]
    fn an_installation_is_complete_when_every_definition_is_established() {
        let (done, pending) = (definition("a", "True"), definition("b", "False"));
        let found = not_served(&[done.clone(), pending]);
        assert_eq!(found.as_deref(), Some("b"));
        let mut unseen = definition("c", "True");
        unseen.status = None;
        assert_eq!(not_served(&[unseen]).as_deref(), Some("c"));
        assert_eq!(not_served(&[done]), None);
    }
}
