//! Events about pods, for `kubectl describe` and for evidence. Best effort: nothing waits for an
//! event.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use k8s_openapi::{
    api::{
        core::v1::{ObjectReference, Pod},
        events::v1::Event,
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};
use tokio::sync::mpsc;

use crate::cluster::object::RUN_LABEL;

/// Events waiting to be sent; more are dropped.
const QUEUE: usize = 512;
/// Minimum time between two events, so that a hundred pods at once do not overload the API
/// server.
const PACE: Duration = Duration::from_millis(20);
/// Recently sent warnings that are not repeated; all are dropped when there are this many.
const REMEMBERED: usize = 1024;

/// Accepts events and sends them in the background.
#[derive(Debug, Clone)]
pub(super) struct EventSink {
    queue: mpsc::Sender<(String, Event)>,
    answer: Arc<Mutex<HashSet<(String, String, String)>>>,
    node: String,
}

/// How serious an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    Normal,
    Warning,
}

impl EventSink {
    /// Starts the task that sends the events.
    pub fn start(client: Client, node: &str) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(send(client, waiting));
        Self {
            queue,
            answer: Arc::default(),
            node: node.to_owned(),
        }
    }

    /// Reports something about a pod. The same warning about the same pod is reported once. Normal
    /// events are for people with kubectl; evidence of a run has only warnings.
    pub fn report(&self, pod: &Pod, weight: Weight, reason: &str, note: impl Into<String>) {
        if weight == Weight::Normal && is_of_a_run(pod) {
            return;
        }
        let note = note.into();
        let meta = &pod.metadata;
        let (name, namespace) = (
            meta.name.clone().unwrap_or_default(),
            meta.namespace.clone().unwrap_or_default(),
        );
        if weight == Weight::Warning {
            let key = (
                meta.uid.clone().unwrap_or_default(),
                reason.to_owned(),
                note.clone(),
            );
            let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
            if answer.len() >= REMEMBERED {
                answer.clear();
            }
            if !answer.insert(key) {
                return;
            }
        }
        let event = self.event(pod, &name, &namespace, weight, reason, note);
        if self.queue.try_send((namespace, event)).is_err() {
            tracing::debug!(pod = name, reason, "an event was dropped");
        }
    }

    fn event(
        &self,
        pod: &Pod,
        name: &str,
        namespace: &str,
        weight: Weight,
        reason: &str,
        note: String,
    ) -> Event {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let now = jiff::Timestamp::now();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let regarding = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            uid: pod.metadata.uid.clone(),
            ..ObjectReference::default()
        };
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{name}.{:x}-{number:x}", now.as_millisecond())),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            action: Some(reason.to_owned()),
            event_time: Some(MicroTime(now)),
            note: Some(note.chars().take(1000).collect()), // the API rejects notes over 1 KiB
            reason: Some(reason.to_owned()),
            regarding: Some(regarding),
            reporting_controller: Some("meshproof.local/node".to_owned()),
            reporting_instance: Some(self.node.clone()),
            type_: Some(
                if weight == Weight::Warning {
                    "Warning"
                } else {
                    "Normal"
                }
                .to_owned(),
            ),
            ..Event::default()
        }
    }
}

/// Whether a run of meshproof has created the pod.
fn is_of_a_run(pod: &Pod) -> bool {
    let labels = pod.metadata.labels.as_ref();
    labels.is_some_and(|labels| labels.contains_key(RUN_LABEL))
}

async fn send(client: Client, mut waiting: mpsc::Receiver<(String, Event)>) {
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while let Some((namespace, event)) = waiting.recv().await {
        pace.tick().await;
        let api: Api<Event> = Api::namespaced(client.clone(), &namespace);
        if let Err(error) = api.create(&PostParams::default(), &event).await {
            tracing::debug!(namespace, %error, "an event was rejected"); // usually the namespace is being deleted
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_of_runs_are_known_by_their_label() {
        let of = |labels| {
            let pod = json!({"metadata": {"name": "p", "labels": labels}});
            is_of_a_run(&serde_json::from_value(pod).unwrap())
        };
        assert!(of(json!({"app": "greeter", RUN_LABEL: "x1"})));
        assert!(!of(json!({"app": "greeter"})));
        assert!(!of(json!(null)));
    }
}
