//! Namespaces of runs: found by label, deleted by uid, and waited for, with what holds those that do not end.

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions},
};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::object::{MANAGER, RUN_LABEL};
use crate::errors::chain;

/// Label of a namespace that stays after its run, for a person to look at (`--keep`).
pub const KEPT_LABEL: &str = "meshproof.dev/kept";
/// Annotation of every namespace of a run: the scenario that it was made for.
pub const SCENARIO: &str = "meshproof.dev/scenario";

/// Pause between two looks at namespaces that are on their way out.
const LOOK: Duration = Duration::from_millis(250);
/// How long one request may take: a server that hangs must not keep a process that was told to end.
const REQUEST: Duration = Duration::from_secs(10);

/// A namespace that did not end, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    pub name: String,
    /// In the API server's words where it has some.
    pub why: String,
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "namespace {} stays: {}", self.name, self.why)
    }
}

/// The namespaces that match a label selector.
///
/// # Errors
/// In words: the API server refuses or does not answer.
pub async fn list(client: &Client, selector: &str) -> Result<Vec<Namespace>, String> {
    let api: Api<Namespace> = Api::all(client.clone());
    let params = ListParams::default().labels(selector);
    let listed = tokio::time::timeout(REQUEST, api.list(&params)).await;
    match listed {
        Ok(Ok(list)) => Ok(list.items),
        Ok(Err(error)) => Err(format!("cannot list namespaces: {}", chain(&error))),
        Err(_) => Err(format!("cannot list namespaces: no answer in {REQUEST:?}")),
    }
}

/// Selects the namespaces of a run that are not to stay.
pub fn of_run(run: &str) -> String {
    format!("{RUN_LABEL}={run},!{KEPT_LABEL}")
}

/// It is being deleted.
pub fn is_ending(namespace: &Namespace) -> bool {
    namespace.metadata.deletion_timestamp.is_some()
}

/// Deletes exactly this namespace (by uid) and ends its pods at once. Does not wait.
///
/// # Errors
/// In words: the API server refuses or does not answer. A namespace that is gone already is no error.
pub async fn delete(client: &Client, namespace: &Namespace) -> Result<(), String> {
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
            Err(error) => return Err(error.to_string()),
        }
        // The namespace takes no new pods any more, so their owners cannot make them anew.
        let pods: Api<Pod> = Api::namespaced(client.clone(), &name);
        let at_once = DeleteParams::default().grace_period(0);
        // Without this they end with their grace period.
        let _ = pods
            .delete_collection(&at_once, &ListParams::default())
            .await;
        Ok(())
    };
    match tokio::time::timeout(REQUEST, deleting).await {
        Ok(done) => done,
        Err(_) => Err(format!("no answer in {REQUEST:?}")),
    }
}

/// Marks a namespace as one that stays.
///
/// # Errors
/// When the API server refuses.
pub async fn keep(client: &Client, name: &str) -> Result<(), kube::Error> {
    let api: Api<Namespace> = Api::all(client.clone());
    let patch = json!({"metadata": {"labels": {KEPT_LABEL: "true"}}});
    let params = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    api.patch(name, &params, &Patch::Merge(&patch))
        .await
        .map(drop)
}

/// Deletes what the selector finds, again and again until there is none, so that one whose creation was under way goes too.
/// Returns those that are still there after `limit`; `limit` zero deletes without waiting and returns only what was refused.
pub async fn remove_all(client: &Client, selector: &str, limit: Duration) -> Vec<Left> {
    let deadline = Instant::now() + limit;
    loop {
        let found = match list(client, selector).await {
            Ok(found) => found,
            Err(why) if Instant::now() >= deadline => {
                let name = format!("of -l {selector}");
                return vec![Left { name, why }];
            }
            Err(_) => {
                sleep(LOOK).await;
                continue;
            }
        };
        if found.is_empty() {
            return Vec::new();
        }
        let deleted = found.iter().map(|namespace| async move {
            match is_ending(namespace) {
                true => Ok(()),
                false => delete(client, namespace).await,
            }
        });
        let refused: Vec<Left> = (found.iter().zip(join_all(deleted).await))
            .filter_map(|(namespace, done)| {
                Some(Left {
                    name: namespace.name_any(),
                    why: done.err()?,
                })
            })
            .collect();
        if Instant::now() >= deadline {
            return match limit.is_zero() {
                true => refused,
                false => found.iter().map(left).collect(),
            };
        }
        sleep(LOOK).await;
    }
}

/// Deletes these namespaces, by uid, and waits up to `limit` until they are gone. Returns those that are still there; with `limit`
/// zero only those that were refused.
pub async fn remove_these(client: &Client, these: &[Namespace], limit: Duration) -> Vec<Left> {
    let mut stay = Vec::new();
    let done = join_all(these.iter().map(|one| delete(client, one))).await;
    for (namespace, done) in these.iter().zip(done) {
        if let Err(why) = done {
            let name = namespace.name_any();
            stay.push(Left { name, why });
        }
    }
    let api: Api<Namespace> = Api::all(client.clone());
    let deadline = Instant::now() + limit;
    let mut waiting: Vec<&Namespace> = these.iter().collect();
    waiting.retain(|one| !stay.iter().any(|left| left.name == one.name_any()));
    while !waiting.is_empty() && !limit.is_zero() {
        let looks = waiting
            .iter()
            .map(|one| api.get_opt(one.metadata.name.as_deref().unwrap_or_default()));
        let found = join_all(looks).await;
        let over = Instant::now() >= deadline;
        let each = waiting.into_iter().zip(found);
        waiting = Vec::new();
        for (wanted, found) in each {
            match found {
                Ok(Some(there)) if there.uid() == wanted.uid() && over => stay.push(left(&there)),
                Ok(Some(there)) if there.uid() == wanted.uid() => waiting.push(wanted),
                Err(error) if over => stay.push(Left {
                    name: wanted.name_any(),
                    why: error.to_string(),
                }),
                Err(_) => waiting.push(wanted),
                Ok(_) => {}
            }
        }
        if !waiting.is_empty() {
            sleep(LOOK).await;
        }
    }
    stay
}

/// What holds a namespace that is still there.
pub fn left(namespace: &Namespace) -> Left {
    Left {
        name: namespace.name_any(),
        why: why(namespace),
    }
}

/// Conditions of the namespace controller that say what keeps a namespace (k8s.io/api/core/v1, `NamespaceConditionType`).
fn why(namespace: &Namespace) -> String {
    if !is_ending(namespace) {
        return "it could not be deleted".to_owned();
    }
    let status = namespace.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref());
    let said = conditions.into_iter().flatten();
    let mut words: Vec<String> = said
        .filter(|condition| condition.status == "True")
        .filter_map(|condition| condition.message.clone())
        .map(|message| message.trim().trim_end_matches(',').to_owned())
        .collect();
    let own = namespace.finalizers();
    if !own.is_empty() {
        words.push(format!("it has the finalizers {}", own.join(", ")));
    }
    match words.is_empty() {
        true => "it is being deleted, and the API server does not say what it waits for".to_owned(),
        false => words.join("; "),
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
            "namespace mp-x-1-a stays: Some resources are remaining: configmaps. has 1 resource instances; \
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
