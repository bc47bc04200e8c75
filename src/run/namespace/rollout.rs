//! Waits for the pods of workloads in applied files, as for those of the scenario's workloads.

use std::time::Instant;

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::error::NamespaceError;
use crate::{
    cluster::{
        object::{self, RUN_LABEL, Written},
        pods,
    },
    run::context::RunContext,
    timeouts::timeouts,
    wait::{self, Look, WaitError},
};

/// Kinds whose pods are awaited.
const KINDS: [&str; 6] = [
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "Job",
    "Pod",
];

/// Whether the object creates pods or is one.
pub fn makes_pods(object: &Value) -> bool {
    object["kind"]
        .as_str()
        .is_some_and(|kind| KINDS.contains(&kind))
}

/// Adds the run's label to the pods of an object. Only pods with this label are watched.
#[must_use]
pub fn labelled(mut object: Value, run: &str) -> Value {
    let metadata = match object["kind"].as_str() {
        Some("Pod") => &mut object["metadata"],
        Some(kind) if KINDS.contains(&kind) => &mut object["spec"]["template"]["metadata"],
        _ => return object,
    };
    if !metadata["labels"].is_object() {
        metadata["labels"] = json!({});
    }
    metadata["labels"][RUN_LABEL] = json!(run);
    object
}

/// Waits until every workload among these objects is rolled out and its pods are ready, or until
/// one of them cannot become ready.
///
/// # Errors
/// [`NamespaceError::Applied`] with the state of the pods.
pub async fn await_rolled_out(
    ctx: &RunContext,
    namespace: &str,
    written: &[Written],
) -> Result<(), NamespaceError> {
    let each = written.iter().filter(|one| {
        KINDS.contains(&one.kind.as_str()) && one.namespace.as_deref() == Some(namespace)
    });
    try_join_all(each.map(|one| await_one(ctx, namespace, one)))
        .await
        .map(drop)
}

async fn await_one(
    ctx: &RunContext,
    namespace: &str,
    written: &Written,
) -> Result<(), NamespaceError> {
    let began = Instant::now();
    let waited = wait::until(timeouts().pods.ready, async |_| {
        is_rolled_out(ctx, namespace, written).await
    });
    let (last, pods) = match waited.await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(hopeless)) => hopeless,
        Err(WaitError::Failed(error)) => return Err(error),
        Err(WaitError::TimedOut(late)) => late.last_seen,
    };
    Err(NamespaceError::Applied {
        what: format!("the rollout of {} {}", written.kind, written.name),
        seconds: began.elapsed().as_secs_f64(),
        last: format!("{last}\n{}", pods::describe(&ctx.client, &pods).await),
    })
}

/// Why a rollout is not complete, and its present pods.
type Late = (String, Vec<Pod>);

/// Whether the workload is rolled out. `Err`: it cannot complete.
async fn is_rolled_out(
    ctx: &RunContext,
    namespace: &str,
    written: &Written,
) -> Result<Look<Result<(), Late>, Late>, NamespaceError> {
    let (version, kind, name) = (&written.api_version, &written.kind, &written.name);
    let now = object::get(&ctx.client, version, kind, Some(namespace), name).await?;
    let now = now.unwrap_or_default();
    let pods = of(&ctx.pods.of(namespace), &now);
    Ok(match state(&now, &pods) {
        State::Ready => Look::Met(Ok(())),
        State::Failed(message) => Look::Met(Err((message, pods))),
        State::Pending(message) if pods.iter().any(pods::is_hopeless) => {
            Look::Met(Err((message, pods)))
        }
        State::Pending(message) => Look::Unmet((message, pods)),
    })
}

/// Waits until no pod of these workloads is left, going by their selectors before they were
/// deleted.
///
/// # Errors
/// [`NamespaceError::Applied`] with the pods that remain.
pub async fn await_gone(
    ctx: &RunContext,
    namespace: &str,
    deleted: &[Value],
) -> Result<(), NamespaceError> {
    for object in deleted.iter().filter(|object| makes_pods(object)) {
        let start = Instant::now();
        let gone = |pods: &[Pod]| of(pods, object).is_empty();
        if let Err(last) = ctx.pods.until(namespace, timeouts().pods.ready, gone).await {
            let left = of(&last, object);
            let names: Vec<String> = left.iter().map(|pod| pod.name_any()).collect();
            return Err(NamespaceError::Applied {
                what: format!("the removal of {}", object["metadata"]["name"]),
                seconds: start.elapsed().as_secs_f64(),
                last: format!("these pods remain: {}", names.join(", ")),
            });
        }
    }
    Ok(())
}

/// Returns the pods of a workload by its selector. A Pod is its own.
fn of(pods: &[Pod], object: &Value) -> Vec<Pod> {
    let labels = object
        .pointer("/spec/selector/matchLabels")
        .and_then(Value::as_object);
    let is_pod = object["kind"] == "Pod";
    let mine = |pod: &&Pod| match labels {
        Some(labels) => labels
            .iter()
            .all(|(key, value)| pods::label(pod, key) == value.as_str()),
        None => is_pod && object["metadata"]["name"] == pod.name_any().as_str(),
    };
    pods.iter().filter(mine).cloned().collect()
}

/// Progress of a rollout.
#[derive(Debug, PartialEq, Eq)]
enum State {
    Ready,
    Pending(String),
    /// It ended in failure.
    Failed(String),
}

fn state(object: &Value, pods: &[Pod]) -> State {
    match object["kind"].as_str().unwrap_or_default() {
        "Deployment" | "StatefulSet" | "ReplicaSet" | "DaemonSet" => replicas_state(object, pods),
        "Job" => job_state(object),
        "Pod" => pod_state(object, pods),
        _ => State::Pending("it does not exist".to_owned()),
    }
}

/// Progress of a workload that has a number of like pods.
fn replicas_state(object: &Value, pods: &[Pod]) -> State {
    let Counts {
        expected,
        updated,
        ready,
        all,
    } = Counts::of(object);
    let observed =
        number(object, "/status/observedGeneration") >= number(object, "/metadata/generation");
    let watched = pods.iter().filter(|pod| pods::is_ready(pod)).count() as u64;
    let done = observed && [updated, ready, all, watched] == [expected; 4];
    let message =
        format!("{updated} of {expected} pods are up to date and {ready} are ready; {all} exist");
    pending_unless(done, &message)
}

/// The number of pods that a workload is to have, and the numbers in its status.
struct Counts {
    expected: u64,
    /// Pods of the workload's present version.
    updated: u64,
    ready: u64,
    all: u64,
}

impl Counts {
    fn of(object: &Value) -> Self {
        let status = |field: &str| number(object, &format!("/status/{field}")).unwrap_or(0);
        if object["kind"] == "DaemonSet" {
            return Self {
                expected: status("desiredNumberScheduled"),
                updated: status("updatedNumberScheduled"),
                ready: status("numberReady"),
                all: status("currentNumberScheduled"),
            };
        }
        let expected = number(object, "/spec/replicas").unwrap_or(1);
        let is_one_revision =
            object.pointer("/status/currentRevision") == object.pointer("/status/updateRevision");
        let updated = match object["kind"].as_str() {
            Some("StatefulSet") if is_one_revision => expected,
            Some("ReplicaSet") => status("readyReplicas"),
            _ => status("updatedReplicas"),
        };
        Self {
            expected,
            updated,
            ready: status("readyReplicas"),
            all: status("replicas"),
        }
    }
}

fn job_state(object: &Value) -> State {
    let is_true = |kind: &str| {
        let conditions = object
            .pointer("/status/conditions")
            .and_then(Value::as_array);
        let mut all = conditions.into_iter().flatten();
        all.any(|condition| condition["type"] == kind && condition["status"] == "True")
    };
    if is_true("Failed") {
        return State::Failed("it failed".to_owned());
    }
    if is_true("Complete") {
        return State::Ready;
    }
    let ready = number(object, "/status/ready").unwrap_or(0);
    pending_unless(ready > 0, "none of its pods is ready")
}

fn pod_state(object: &Value, pods: &[Pod]) -> State {
    match object.pointer("/status/phase").and_then(Value::as_str) {
        Some("Failed") => State::Failed("it failed".to_owned()),
        Some("Succeeded") => State::Ready,
        _ => pending_unless(pods.iter().any(pods::is_ready), "it is not ready"),
    }
}

/// The number at a JSON pointer.
fn number(object: &Value, at: &str) -> Option<u64> {
    object.pointer(at).and_then(Value::as_u64)
}

fn pending_unless(done: bool, message: &str) -> State {
    if done {
        State::Ready
    } else {
        State::Pending(message.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(generation: u64, updated: u64, ready: u64) -> Value {
        json!({"kind": "Deployment", "metadata": {"name": "x", "generation": generation},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "x"}}},
            "status": {"observedGeneration": 2, "updatedReplicas": updated, "readyReplicas": ready, "replicas": 2}})
    }

    fn pod(name: &str, ready: bool) -> Pod {
        let status = if ready { "True" } else { "False" };
        let pod = json!({"metadata": {"name": name, "labels": {"app": "x"}},
            "status": {"conditions": [{"type": "Ready", "status": status}]}});
        serde_json::from_value(pod).expect("a pod")
    }

    #[rstest::rstest]
    #[case::done(2, 2, 2, true)]
    #[case::not_seen_yet(3, 2, 2, false)]
    #[case::old_pods_are_ready(2, 1, 2, false)]
    #[case::not_ready(2, 2, 1, false)]
    fn a_deployment_is_rolled_out_when_all_of_its_new_pods_are_ready(
        #[case] generation: u64,
        #[case] updated: u64,
        #[case] ready: u64,
        #[case] done: bool,
    ) {
        let pods = [pod("a", true), pod("b", true)];
        let found = state(&deployment(generation, updated, ready), &pods);
        assert_eq!(found == State::Ready, done, "{found:?}");
        let found = state(&deployment(generation, updated, ready), &pods[..1]);
        assert_ne!(found, State::Ready, "only one of them is watched");
    }

    #[rstest::rstest]
    #[case::complete("Complete", State::Ready)]
    #[case::failed("Failed", State::Failed("it failed".to_owned()))]
    #[case::at_work("Suspended", State::Pending("none of its pods is ready".to_owned()))]
    fn a_job_is_done_or_at_work_or_failed(#[case] condition: &str, #[case] expected: State) {
        let job = json!({"kind": "Job", "status": {"conditions": [{"type": condition, "status": "True"}]}});
        assert_eq!(state(&job, &[]), expected);
    }

    #[test]
    fn pods_are_found_by_the_selector_and_a_pod_by_its_name() {
        let pods = [pod("a", true), pod("b", true)];
        assert_eq!(of(&pods, &deployment(1, 1, 1)).len(), 2);
        assert_eq!(
            of(&pods, &json!({"kind": "Pod", "metadata": {"name": "b"}})).len(),
            1
        );
        assert!(of(&pods, &json!({"kind": "Job", "spec": {}})).is_empty());
    }

    #[test]
    fn pods_of_applied_files_carry_the_runs_label() {
        let label = |object: Value, at: &str| labelled(object, "r1").pointer(at).cloned();
        let deep = "/spec/template/metadata/labels/meshproof.dev~1run";
        assert_eq!(label(deployment(1, 1, 1), deep), Some(json!("r1")));
        let own = "/metadata/labels/meshproof.dev~1run";
        assert_eq!(
            label(json!({"kind": "Pod", "metadata": {"name": "x"}}), own),
            Some(json!("r1"))
        );
        assert_eq!(label(json!({"kind": "Service", "metadata": {}}), own), None);
    }
}
