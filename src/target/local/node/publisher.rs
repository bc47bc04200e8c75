//! Sends a pod's status to the API server: always the newest one, never two at once.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle};

use super::config::Shared;

/// How long changes are collected before they are sent, so that a start in quick steps is one update.
const COLLECT: Duration = Duration::from_millis(8);
/// How long until a failed update is sent again.
const RETRY: Duration = Duration::from_millis(200);

/// Accepts statuses.
pub(super) struct Publisher {
    newest: watch::Sender<Option<PodStatus>>,
    task: JoinHandle<()>,
}

impl Publisher {
    pub fn start(shared: Arc<Shared>, pod: Arc<Pod>) -> Self {
        let (newest, changes) = watch::channel(None);
        Self {
            newest,
            task: tokio::spawn(send(shared, pod, changes)),
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
                *last = Some(status);
            }
            changed
        });
    }

    /// Waits until the newest status has been sent, or the pod is gone.
    pub async fn finish(self) {
        drop(self.newest);
        let _ = self.task.await;
    }
}

async fn send(shared: Arc<Shared>, pod: Arc<Pod>, mut changes: watch::Receiver<Option<PodStatus>>) {
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
                Ok(_) => break,
                Err(kube::Error::Api(answer)) if answer.code == 404 || answer.code == 409 => return, // gone, or another pod of this name
                Err(error) => {
                    tracing::warn!(namespace, name, %error, "cannot update the pod's status; sending it again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}

/// A strategic merge patch. Conditions are merged by type there, so what a condition no longer says must be taken away
/// explicitly; the uid makes the API server refuse the patch for another pod of the same name.
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
