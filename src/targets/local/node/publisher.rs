//! Sends a pod's status to the API server: always the newest one, never two at once.

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

use super::config::Shared;

/// How long changes are collected before they are sent, so that a start in quick steps is one
/// update.
const COLLECT: Duration = Duration::from_millis(8);
/// How long until a failed update is sent again.
const RETRY: Duration = Duration::from_millis(200);

/// Accepts statuses.
pub(super) struct Publisher {
    newest: watch::Sender<Option<PodStatus>>,
    /// What was given last is still on its way: what is shown may be older.
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

    /// The status that was given last.
    pub fn last(&self) -> Option<PodStatus> {
        self.newest.borrow().clone()
    }

    /// Has the status sent if it differs from the one before.
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

    /// Has the newest status sent again when what the API server shows is not what it was told:
    /// somebody else has written there, such as the node controller, which calls all pods of a lost
    /// node not ready.
    pub fn insist(&self, shown: Option<&PodStatus>) {
        self.newest.send_if_modified(|last| {
            let told = last
                .as_ref()
                .filter(|_| !self.unsent.load(Ordering::Acquire));
            told.is_some_and(|told| is_denied(told, shown))
        });
    }

    /// Waits until the newest status has been sent, or the pod is gone.
    pub async fn finish(self) {
        drop(self.newest);
        let _ = self.task.await;
    }
}

/// A condition about readiness is shown otherwise than it was told.
fn is_denied(told: &PodStatus, shown: Option<&PodStatus>) -> bool {
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
        .any(|kind| of(Some(told), kind) != of(shown, kind))
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
    while changes.changed().await.is_ok() {
        tokio::time::sleep(COLLECT).await; // collects what follows at once; nothing waits for it
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
                    break;
                }
                Err(kube::Error::Api(answer)) if answer.code == 404 || answer.code == 409 => return, // gone, or another pod of this name
                Err(error) => {
                    tracing::warn!(namespace, name, %error, "cannot update the pod's status; sending it again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}

/// A strategic merge patch. Conditions are merged by type there, so what a condition no longer says
/// must be taken away explicitly; the uid makes the API server refuse the patch for another pod of
/// the same name.
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
        let told = json!({"conditions": [{"type": "Ready", "status": "True"}]});
        let told: PodStatus = serde_json::from_value(told).unwrap();
        let shown: PodStatus = serde_json::from_value(json!({"conditions": shown})).unwrap();
        assert_eq!(is_denied(&told, Some(&shown)), denied);
        assert!(is_denied(&told, None));
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
