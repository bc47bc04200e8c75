//! Namespaces of runs: found by label, deleted by uid, and waited for. Reports what blocks those
//! that are not deleted.

use std::{convert::Infallible, time::Duration};

use futures::future::join_all;
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet},
        core::v1::{Namespace, Pod},
    },
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    object::{self, MANAGER, ObjectError, RUN_LABEL, Written},
    request::RequestError,
};
use crate::{
    errors::chain,
    timeouts::timeouts,
    wait::{self, Look},
};

/// Label of a namespace that stays after its run, for inspection (`--keep`).
pub const KEPT_LABEL: &str = "meshproof.dev/kept";
/// Annotation of every namespace of a run: the scenario that it was created for.
pub const SCENARIO: &str = "meshproof.dev/scenario";

/// A namespace that was not removed, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    pub name: String,
    /// The API server's message, if there is one.
    pub why: String,
}

impl Left {
    fn refused(namespace: &Namespace, error: &RequestError) -> Self {
        Self {
            name: namespace.name_any(),
            why: error.to_string(),
        }
    }
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "namespace {} was not removed: {}", self.name, self.why)
    }
}

/// The namespaces that match a label selector.
///
/// # Errors
/// [`RequestError`]: the API server rejects a request or does not answer.
pub async fn list(client: &Client, selector: &str) -> Result<Vec<Namespace>, RequestError> {
    let api: Api<Namespace> = Api::all(client.clone());
    let params = ListParams::default().labels(selector);
    let limit = timeouts().cluster.request;
    match timeout(limit, api.list(&params)).await {
        Ok(listed) => Ok(listed?.items),
        Err(_) => Err(RequestError::Silent(limit)),
    }
}

/// Selects the namespaces of a run that are not kept.
pub fn of_run(run: &str) -> String {
    format!("{RUN_LABEL}={run},!{KEPT_LABEL}")
}

/// Whether it is being deleted.
pub fn is_ending(namespace: &Namespace) -> bool {
    namespace.metadata.deletion_timestamp.is_some()
}

/// Deletes exactly this namespace (by uid), and its pods without a grace period. Does not wait.
///
/// # Errors
/// [`RequestError`]: the API server rejects a request or does not answer. A namespace that no
/// longer exists is not an error.
pub async fn delete(client: &Client, namespace: &Namespace) -> Result<(), RequestError> {
    let name = namespace.name_any();
    let api: Api<Namespace> = Api::all(client.clone());
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: namespace.uid(),
            resource_version: None,
        }),
        ..DeleteParams::background()
    };
    let deleting = async {
        match api.delete(&name, &params).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        // A terminating namespace accepts no new pods, so their owners cannot recreate them.
        let pods: Api<Pod> = Api::namespaced(client.clone(), &name);
        let at_once = DeleteParams::default().grace_period(0);
        // Without this they take their grace period.
        let _ = pods
            .delete_collection(&at_once, &ListParams::default())
            .await;
        Ok(())
    };
    let limit = timeouts().cluster.request;
    match timeout(limit, deleting).await {
        Ok(done) => done,
        Err(_) => Err(RequestError::Silent(limit)),
    }
}

/// Deletes exactly this namespace (by uid) of a scenario that is over. Does not wait.
///
/// Its pods are deleted at the same time, without a grace period, and their controllers before
/// them. The namespace controller alone leaves them running for another five seconds and then
/// deletes pods before their controllers, which try again and again to create new ones.
///
/// # Errors
/// The API server rejects the deletion of the namespace. One that no longer exists is not an
/// error.
pub async fn end(client: &Client, root: &Written) -> Result<(), ObjectError> {
    let (name, gentle) = (&root.name, DeleteParams::background());
    tokio::join!(
        all_of::<Deployment>(client, name, &gentle),
        all_of::<StatefulSet>(client, name, &gentle),
        all_of::<DaemonSet>(client, name, &gentle),
    );
    let at_once = DeleteParams::default().grace_period(0);
    let ((), (), done) = tokio::join!(
        all_of::<ReplicaSet>(client, name, &gentle),
        all_of::<Pod>(client, name, &at_once),
        object::delete(client, root),
    );
    done
}

/// Deletes the objects of a kind that runs created, as far as possible: the namespace controller
/// deletes the others.
async fn all_of<K>(client: &Client, namespace: &str, params: &DeleteParams)
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let ours = ListParams::default().labels(RUN_LABEL);
    let limit = timeouts().cluster.request;
    match timeout(
        limit,
        object::delete_these::<K>(client, namespace, params, &ours),
    )
    .await
    {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(namespace, %error, "pods were not deleted early"),
        Err(_) => tracing::debug!(namespace, "pods were not deleted early: no response"),
    }
}

/// Marks a namespace as kept.
///
/// # Errors
/// The API server rejects the request.
pub async fn keep(client: &Client, name: &str) -> Result<(), kube::Error> {
    let patch = json!({"metadata": {"labels": {KEPT_LABEL: "true"}}});
    annotate(client, name, &patch).await
}

/// Takes the mark away.
///
/// # Errors
/// The API server rejects the request.
pub async fn no_longer_keep(client: &Client, name: &str) -> Result<(), kube::Error> {
    let patch = json!({"metadata": {"labels": {KEPT_LABEL: null}}});
    annotate(client, name, &patch).await
}

/// Records which scenario uses a namespace now.
///
/// # Errors
/// The API server rejects the request.
pub async fn used_by(client: &Client, name: &str, scenario: &str) -> Result<(), kube::Error> {
    let patch = json!({"metadata": {"annotations": {SCENARIO: scenario}}});
    annotate(client, name, &patch).await
}

async fn annotate(client: &Client, name: &str, patch: &Value) -> Result<(), kube::Error> {
    let api: Api<Namespace> = Api::all(client.clone());
    let params = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    api.patch(name, &params, &Patch::Merge(patch))
        .await
        .map(drop)
}

/// Deletes what the selector matches, repeatedly until nothing matches, so that namespaces that
/// were just being created are deleted too. Returns those that still exist after `limit`. With
/// `limit` zero, deletes without waiting and returns only failed deletions.
pub async fn remove_all(client: &Client, selector: &str, limit: Duration) -> Vec<Left> {
    let round = async |_| {
        let stay = still_there(client, selector, limit.is_zero()).await;
        Ok::<_, Infallible>(match stay.is_empty() {
            true => Look::Met(stay),
            false => Look::Unmet(stay),
        })
    };
    let Ok(stay) = wait::or_last_seen(limit, round).await;
    stay
}

/// One round: deletes what the selector matches, and returns it with what blocks it. With
/// `only_refused`, returns only failed deletions.
async fn still_there(client: &Client, selector: &str, only_refused: bool) -> Vec<Left> {
    let found = match list(client, selector).await {
        Ok(found) => found,
        Err(error) => {
            let name = format!("(selector {selector})");
            let why = format!("cannot list namespaces: {}", chain(&error));
            return vec![Left { name, why }];
        }
    };
    let deleted = found.iter().map(|namespace| async move {
        match is_ending(namespace) {
            true => Ok(()),
            false => delete(client, namespace).await,
        }
    });
    let done = join_all(deleted).await;
    if !only_refused {
        return found.iter().map(left).collect();
    }
    let each = found.iter().zip(done);
    each.filter_map(|(namespace, done)| Some(Left::refused(namespace, &done.err()?)))
        .collect()
}

/// Deletes these namespaces, by uid, and waits up to `limit` until they are gone. Returns those
/// that still exist; with `limit` zero, only failed deletions.
pub async fn remove_these(client: &Client, these: &[Namespace], limit: Duration) -> Vec<Left> {
    let (mut stay, mut waiting) = (Vec::new(), Vec::new());
    let done = join_all(these.iter().map(|one| delete(client, one))).await;
    for (namespace, done) in these.iter().zip(done) {
        match done {
            Ok(()) => waiting.push(namespace),
            Err(error) => stay.push(Left::refused(namespace, &error)),
        }
    }
    if limit.is_zero() {
        return stay;
    }
    let gone = waiting.into_iter().map(|one| gone(client, one, limit));
    stay.extend(join_all(gone).await.into_iter().flatten());
    stay
}

/// Waits until exactly this namespace is gone. Otherwise returns what blocks it.
async fn gone(client: &Client, one: &Namespace, limit: Duration) -> Option<Left> {
    let look = async |_| {
        let left = look(client, one).await;
        Ok::<_, Infallible>(match left {
            None => Look::Met(left),
            Some(_) => Look::Unmet(left),
        })
    };
    let Ok(left) = wait::or_last_seen(limit, look).await;
    left
}

/// What blocks exactly this namespace. `None` once it is gone. A later one with the same name is
/// another.
async fn look(client: &Client, expected: &Namespace) -> Option<Left> {
    let api: Api<Namespace> = Api::all(client.clone());
    match api.get_opt(&expected.name_any()).await {
        Ok(there) => there
            .filter(|one| one.uid() == expected.uid())
            .as_ref()
            .map(left),
        Err(error) => Some(Left::refused(expected, &error.into())),
    }
}

/// What blocks the deletion of a namespace.
pub fn left(namespace: &Namespace) -> Left {
    Left {
        name: namespace.name_any(),
        why: why(namespace),
    }
}

/// The namespace controller's conditions that block the deletion (k8s.io/api/core/v1,
/// `NamespaceConditionType`).
fn why(namespace: &Namespace) -> String {
    if !is_ending(namespace) {
        return "it could not be deleted".to_owned();
    }
    let status = namespace.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref());
    let answer = conditions.into_iter().flatten();
    let mut parts: Vec<String> = answer
        .filter(|condition| condition.status == "True")
        .filter_map(|condition| condition.message.clone())
        .map(|message| message.trim().trim_end_matches(',').to_owned())
        .collect();
    let own = namespace.finalizers();
    if !own.is_empty() {
        parts.push(format!("it has the finalizers {}", own.join(", ")));
    }
    match parts.is_empty() {
        true => "it is being deleted, but the API server does not report what it is waiting for"
            .to_owned(),
        false => parts.join("; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_a_namespace_is_told_in_the_controllers_words() {
        let of = |value| -> Namespace { serde_json::from_value(value).unwrap() };
        let held = of(json!({
        "metadata": {"name": "mp-x-1-a", "deletionTimestamp": "2026-01-01T00:00:00Z"},
        "status": {"phase": "Terminating", "conditions": [
            {"type": "NamespaceDeletionDiscoveryFailure", "status": "False", "message": "All resources successfully discovered"},
            {"type": "NamespaceContentRemaining", "status": "True", "message": "Some resources are remaining: configmaps. has 1 resource instances"},
            {"type": "NamespaceFinalizersRemaining", "status": "True", "message": "Some content in the namespace has finalizers remaining: example.test/hold in 1 resource instances"},
        ]}}));
        assert_eq!(
            left(&held).to_string(),
            "namespace mp-x-1-a was not removed: Some resources are remaining: configmaps. has 1 resource instances; \
             Some content in the namespace has finalizers remaining: example.test/hold in 1 resource instances"
        );
        let silent = of(
            json!({"metadata": {"name": "b", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a.test/b"]}}),
        );
        assert!(
            left(&silent).why.ends_with("a.test/b"),
            "{:?}",
            left(&silent)
        );
        assert!(
            left(&of(json!({"metadata": {"name": "c"}})))
                .why
                .contains("could not be deleted")
        );
    }
}
