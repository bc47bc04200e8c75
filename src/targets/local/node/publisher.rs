//! Sends a pod's status to the API server: always the newest one, and one at a time. Steps that
//! nobody waits for are sent together with the next one that matters ([`urgency`]).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle};

use super::{config::Shared, urgency};

/// How long a change that is not urgent waits for the next one. Each write costs the API server,
/// etcd and every watcher of pods some work.
const HOLD: Duration = Duration::from_millis(250);
/// How long changes are collected before they are sent, so that a start in quick steps is one
/// update.
const COLLECT: Duration = Duration::from_millis(8);
/// Delay before a failed update is sent again.
const RETRY: Duration = Duration::from_millis(200);

/// Accepts statuses.
pub(super) struct Publisher {
    newest: watch::Sender<Option<PodStatus>>,
    /// The latest status has not been sent yet, so the API server may show an older one.
    unsent: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Publisher {
    pub fn start(shared: Arc<Shared>, pod: Arc<Pod>) -> Self {
        let (newest, changes) = watch::channel(None);
        let unsent = Arc::new(AtomicBool::new(false));
        Self {
            newest,
            task: tokio::spawn(send(shared, pod, changes, unsent.clone())),
            unsent,
        }
    }

    /// The latest status.
    pub fn last(&self) -> Option<PodStatus> {
        self.newest.borrow().clone()
    }

    /// Sends the status if it differs from the previous one.
    pub fn give(&self, status: PodStatus) {
        self.newest.send_if_modified(|last| {
            let changed = last.as_ref() != Some(&status);
            if changed {
                self.unsent.store(true, Ordering::Release);
                *last = Some(status);
            }
            changed
        });
    }

    /// Sends the newest status again if the API server shows a different one: another client has
    /// written there, such as the node controller, which marks all pods of a lost node as not
    /// ready.
    pub fn insist(&self, shown: Option<&PodStatus>) {
        self.newest.send_if_modified(|last| {
            let reported = last
                .as_ref()
                .filter(|_| !self.unsent.load(Ordering::Acquire));
            reported.is_some_and(|reported| is_denied(reported, shown))
        });
    }

    /// Waits until the newest status has been sent, or the pod is gone.
    pub async fn finish(self) {
        drop(self.newest);
        let _ = self.task.await;
    }
}

/// Whether a readiness condition is shown with another status than the one that was sent.
fn is_denied(reported: &PodStatus, shown: Option<&PodStatus>) -> bool {
    let of = |status: Option<&PodStatus>, kind: &str| {
        let conditions = status.and_then(|status| status.conditions.as_ref());
        let found = conditions
            .into_iter()
            .flatten()
            .find(|condition| condition.type_ == kind);
        found.map(|condition| condition.status.clone())
    };
    ["Ready", "ContainersReady"]
        .iter()
        .any(|kind| of(Some(reported), kind) != of(shown, kind))
}

async fn send(
    shared: Arc<Shared>,
    pod: Arc<Pod>,
    mut changes: watch::Receiver<Option<PodStatus>>,
    unsent: Arc<AtomicBool>,
) {
    let meta = &pod.metadata;
    let (name, namespace) = (
        meta.name.clone().unwrap_or_default(),
        meta.namespace.clone().unwrap_or_default(),
    );
    let api: Api<Pod> = Api::namespaced(shared.cfg.client.clone(), &namespace);
    let mut sent = None;
    while changes.changed().await.is_ok() {
        let urgent = |status: &Option<PodStatus>| {
            let status = status.as_ref();
            status.is_some_and(|status| urgency::is_urgent(sent.as_ref(), status))
        };
        // Ends early if the pod is gone, too.
        let _ = tokio::time::timeout(HOLD, changes.wait_for(urgent)).await;
        tokio::time::sleep(COLLECT).await; // collects quick follow-ups; nothing waits for it
        loop {
            let Some(status) = changes.borrow_and_update().clone() else {
                break;
            };
            let body = patch(&status, meta.uid.as_deref());
            match api
                .patch_status(&name, &PatchParams::default(), &Patch::Strategic(body))
                .await
            {
                Ok(_) => {
                    let newest = !changes.has_changed().unwrap_or(false);
                    unsent.store(!newest, Ordering::Release);
                    sent = Some(status);
                    break;
                }
                Err(kube::Error::Api(answer)) if answer.code == 404 || answer.code == 409 => return, // deleted, or another pod of this name
                Err(error) => {
                    tracing::warn!(namespace, name, %error, "cannot update the pod's status; retrying");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}

/// A strategic merge patch. It merges conditions by type, so a field that a condition no longer
/// has must be removed explicitly. The UID makes the API server reject the patch for another pod
/// of the same name.
fn patch(status: &PodStatus, uid: Option<&str>) -> Value {
    let mut status_json = serde_json::to_value(status).unwrap_or_default();
    for condition in status_json["conditions"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        for field in ["reason", "message"] {
            if condition.get(field).is_none() {
                condition[field] = Value::Null;
            }
        }
    }
    for field in ["reason", "message"] {
        if status_json.get(field).is_none() {
            status_json[field] = Value::Null;
        }
    }
    json!({"metadata": {"uid": uid}, "status": status_json})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::the_same(json!([{"type": "Ready", "status": "True"}, {"type": "Mine", "status": "False"}]), false)]
    #[case::lost_node(json!([{"type": "Ready", "status": "False"}]), true)]
    #[case::emptied(json!([]), true)]
    fn a_readiness_that_somebody_else_denied_is_noticed(
        #[case] shown: Value,
        #[case] denied: bool,
    ) {
        let reported = json!({"conditions": [{"type": "Ready", "status": "True"}]});
        let reported: PodStatus = serde_json::from_value(reported).unwrap();
        let shown: PodStatus = serde_json::from_value(json!({"conditions": shown})).unwrap();
        assert_eq!(is_denied(&reported, Some(&shown)), denied);
        assert!(is_denied(&reported, None));
    }

    #[test]
    fn what_is_no_longer_said_is_taken_away() {
        let status: PodStatus =
            serde_json::from_value(json!({"conditions": [{"type": "Ready", "status": "True"}, {"type": "X", "status": "False", "reason": "R"}]})).unwrap();
        let body = patch(&status, Some("u"));
        assert_eq!(body["metadata"]["uid"], "u");
        assert_eq!(body["status"]["conditions"][0]["reason"], Value::Null);
        assert!(
            body["status"]["conditions"][0]
                .as_object()
                .unwrap()
                .contains_key("message")
        );
        assert_eq!(body["status"]["conditions"][1]["reason"], "R");
    }
}
