//! What pods are doing, for decisions and for messages.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use kube::{Api, Client, ResourceExt as _, api::LogParams};
use nix::sys::signal::Signal;
use tokio::time::timeout;

/// Whether the pod can receive traffic and is not being deleted.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    let ready = conditions
        .into_iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    ready && pod.metadata.deletion_timestamp.is_none()
}

/// Number of restarts after which a container in back-off is not expected to recover: the
/// kubelet's delays are then 20 s and more.
const RESTARTS: i32 = 3;

/// Whether the pod will not become ready by waiting: its image is missing, its node rejects it or
/// has waited long enough for a volume (as the local node reports), or it keeps crashing.
pub fn is_hopeless(pod: &Pod) -> bool {
    let status = pod.status.iter();
    let containers = status.flat_map(|status| {
        let inits = status.init_container_statuses.iter().flatten();
        inits.chain(status.container_statuses.iter().flatten())
    });
    let hopeless = |container: &ContainerStatus| {
        let state = container.state.as_ref();
        let waiting = state.and_then(|state| state.waiting.as_ref()?.reason.as_deref());
        match waiting {
            Some("ErrImageNeverPull" | "InvalidImageName" | "Unsupported" | "FailedMount") => true,
            Some("CrashLoopBackOff") => container.restart_count >= RESTARTS,
            _ => false,
        }
    };
    pod.metadata.deletion_timestamp.is_none() && containers.into_iter().any(hopeless)
}

/// Value of a label.
pub fn label<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    pod.labels().get(key).map(String::as_str)
}

/// All pods as `kubectl get pods -o wide` shows them, followed by [`describe`] if one is not
/// ready.
pub async fn report(client: &Client, pods: &[Pod]) -> String {
    let mut text = table(pods, Timestamp::now());
    if !pods.iter().all(is_ready) {
        text += &format!("\n{}\n", describe(client, pods).await);
    }
    text
}

/// The columns of `kubectl get pods -o wide`, each as wide as its widest value.
fn table(pods: &[Pod], now: Timestamp) -> String {
    const HEAD: [&str; 7] = ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "NODE", "IP"];
    if pods.is_empty() {
        return "no pod was created\n".to_owned();
    }
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(pods.iter().map(|pod| row(pod, now)));
    let mut text = String::new();
    for row in &rows {
        let widest = |at: usize| rows.iter().map(|row| row[at].len()).max().unwrap_or(0);
        let cells = row.iter().enumerate();
        let line: String = cells
            .map(|(at, cell)| format!("{cell:<width$}   ", width = widest(at)))
            .collect();
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn row(pod: &Pod, now: Timestamp) -> [String; 7] {
    let (spec, status) = (pod.spec.clone().unwrap_or_default(), pod.status.clone());
    let status = status.unwrap_or_default();
    // Native sidecars count like containers, as in kubectl.
    let early = spec.init_containers.unwrap_or_default();
    let early = early.iter();
    let stays = |name: &&str| spec.containers.iter().any(|one| one.name == **name);
    let sidecars = early.filter(|one| one.restart_policy.as_deref() == Some("Always"));
    let mut names: Vec<&str> = sidecars.map(|one| one.name.as_str()).collect();
    names.extend(spec.containers.iter().map(|one| one.name.as_str()));
    names.dedup();
    let all = containers(pod);
    let ours = all.iter().filter(|one| names.contains(&one.name.as_str()));
    let ready = ours.filter(|one| one.ready).count();
    let restarts: i32 = all.iter().map(|one| one.restart_count).sum();
    let stopped = all.iter().find_map(|one| {
        let state = one.state.as_ref()?;
        let waits = state.waiting.as_ref().and_then(|wait| wait.reason.clone());
        let ended = state
            .terminated
            .as_ref()
            .filter(|_| stays(&one.name.as_str()));
        waits.or_else(|| ended?.reason.clone())
    });
    let word = match pod.metadata.deletion_timestamp {
        Some(_) => Some("Terminating".to_owned()),
        None => stopped.or(status.reason).or(status.phase),
    };
    let none = || "<none>".to_owned();
    let age = pod.metadata.creation_timestamp.as_ref();
    [
        pod.name_any(),
        format!("{ready}/{}", names.len()),
        word.unwrap_or_else(|| "Unknown".to_owned()),
        restarts.to_string(),
        age.map_or_else(none, |made| age_words(now.duration_since(made.0).as_secs())),
        spec.node_name.unwrap_or_else(none),
        status.pod_ip.unwrap_or_else(none),
    ]
}

/// `42s`, `3m12s`, `2h5m`.
fn age_words(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m{}s", seconds / 60, seconds % 60),
        seconds => format!("{}h{}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// What one would look at first: the state of each container of each pod that is not ready, with
/// its last events and log lines.
pub async fn describe(client: &Client, pods: &[Pod]) -> String {
    let mut lines = Vec::new();
    for pod in pods.iter().filter(|pod| !is_ready(pod)).take(3) {
        lines.push(format!("pod {}: {}", pod.name_any(), phase(pod)));
        for container in containers(pod) {
            if let Some(message) = trouble(&container) {
                lines.push(format!("  container {} {message}", container.name));
                lines.extend(last_log(client, pod, &container.name).await);
            }
        }
        lines.extend(events(client, pod).await);
    }
    match (lines.is_empty(), pods.len()) {
        (true, 0) => "no pod was created".to_owned(),
        (true, count) => format!("all existing pods are ready ({count})"),
        _ => lines.join("\n"),
    }
}

/// The known state of pods that are not ready, in one line and without further requests: which
/// container exited, how and when.
pub fn brief(pods: &[Pod]) -> String {
    if pods.is_empty() {
        return "it has no pods".to_owned();
    }
    let each = pods.iter().filter(|pod| !is_ready(pod)).map(|pod| {
        let containers = containers(pod);
        let parts: Vec<String> = containers
            .iter()
            .filter_map(|container| {
                Some(format!(
                    "container {} {}",
                    container.name,
                    trouble(container)?
                ))
            })
            .collect();
        let leaving = match pod.metadata.deletion_timestamp {
            Some(_) => " (being deleted)",
            None => "",
        };
        let parts = if parts.is_empty() {
            phase(pod)
        } else {
            parts.join(", ")
        };
        format!("{}{leaving}: {parts}", pod.name_any())
    });
    each.collect::<Vec<_>>().join("; ")
}

/// Statuses of all containers, native sidecars and init containers first.
fn containers(pod: &Pod) -> Vec<ContainerStatus> {
    let status = pod.status.clone().unwrap_or_default();
    let inits = status.init_container_statuses.into_iter().flatten();
    inits
        .chain(status.container_statuses.into_iter().flatten())
        .collect()
}

/// How a container ended: its exit code, the signal if it was killed by one, the time, and its
/// last message.
fn end(ended: &ContainerStateTerminated) -> String {
    let signal = ended.exit_code - 128;
    let by = Signal::try_from(signal).map_or_else(
        |_| format!("with code {}", ended.exit_code),
        |signal| format!("with code {} ({signal})", ended.exit_code),
    );
    let reason = ended
        .reason
        .as_deref()
        .filter(|reason| *reason == "OOMKilled");
    let reason = reason.map_or(String::new(), |reason| format!(", {reason}"));
    let at = ended
        .finished_at
        .as_ref()
        .map_or(String::new(), |at| format!(" at {}", at.0));
    let message = ended.message.as_deref().unwrap_or_default().trim();
    let text = if message.is_empty() {
        String::new()
    } else {
        format!(": {message}")
    };
    format!("exited {by}{reason}{at}{text}")
}

fn phase(pod: &Pod) -> String {
    let status = pod.status.clone().unwrap_or_default();
    let message = status
        .message
        .map(|message| format!(" ({message})"))
        .unwrap_or_default();
    format!(
        "{}{message}",
        status.phase.unwrap_or_else(|| "not started".to_owned())
    )
}

/// What is wrong with a container, and how it ended before. `None` if it runs well or exited
/// successfully.
fn trouble(container: &ContainerStatus) -> Option<String> {
    let state = container.state.clone().unwrap_or_default();
    let restarts = match container.restart_count {
        0 => String::new(),
        1 => ", restarted once".to_owned(),
        count => format!(", restarted {count} times"),
    };
    let last = container.last_state.as_ref();
    let before = last
        .and_then(|state| state.terminated.as_ref())
        .map_or(String::new(), |ended| {
            format!("; previously, it {}", end(ended))
        });
    if let Some(waiting) = state.waiting {
        let parts = [waiting.reason, waiting.message].into_iter().flatten();
        let text = parts.collect::<Vec<_>>().join(" ");
        return Some(format!("is waiting: {text}{restarts}{before}"));
    }
    if let Some(ended) = state.terminated.filter(|ended| ended.exit_code != 0) {
        return Some(format!("{}{restarts}", end(&ended)));
    }
    (!container.ready && state.running.is_some())
        .then(|| format!("is running but not ready{restarts}{before}"))
}

async fn last_log(client: &Client, pod: &Pod, container: &str) -> Vec<String> {
    let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let name = pod.name_any();
    let read = async |previous| {
        let params = LogParams {
            container: Some(container.to_owned()),
            tail_lines: Some(5),
            previous,
            ..LogParams::default()
        };
        let text = timeout(Duration::from_secs(3), api.logs(&name, &params)).await;
        text.ok()
            .and_then(Result::ok)
            .filter(|text| !text.is_empty())
    };
    let text = match read(false).await {
        Some(text) => text,
        None => read(true).await.unwrap_or_default(),
    };
    text.lines().map(|line| format!("    | {line}")).collect()
}

async fn events(client: &Client, pod: &Pod) -> Vec<String> {
    let api: Api<k8s_openapi::api::core::v1::Event> =
        Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let params =
        kube::api::ListParams::default().fields(&format!("involvedObject.name={}", pod.name_any()));
    let list = timeout(Duration::from_secs(3), api.list(&params)).await;
    let events = list
        .ok()
        .and_then(Result::ok)
        .map(|list| list.items)
        .unwrap_or_default();
    let warnings = events
        .into_iter()
        .filter(|event| event.type_.as_deref() == Some("Warning"));
    let mut lines: Vec<String> = warnings
        .map(|event| {
            format!(
                "  event {}: {}",
                event.reason.unwrap_or_default(),
                event.message.unwrap_or_default()
            )
        })
        .collect();
    lines.drain(..lines.len().saturating_sub(3));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[test]
    fn what_ended_is_named_with_its_signal_and_time() {
        let running = json!({"name": "istio-proxy", "image": "i", "imageID": "i", "ready": false, "restartCount": 1,
            "state": {"running": {}},
            "lastState": {"terminated": {"exitCode": 137, "reason": "Error", "finishedAt": "2026-01-02T03:04:05Z", "message": "last line"}}});
        let ended = json!({"name": "testbed", "image": "i", "imageID": "i", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": 3, "reason": "Error"}}});
        let oom = json!({"name": "big", "image": "i", "imageID": "i", "ready": false, "restartCount": 2,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}});
        let pod = json!({"metadata": {"name": "caller-1"}, "status": {"phase": "Running",
            "initContainerStatuses": [running], "containerStatuses": [ended, oom]}});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        assert_eq!(
            brief(&[pod]),
            "caller-1: container istio-proxy is running but not ready, restarted once; previously, it exited with code 137 (SIGKILL) at 2026-01-02T03:04:05Z: last line, \
             container testbed exited with code 3, \
             container big is waiting: CrashLoopBackOff, restarted 2 times; previously, it exited with code 137 (SIGKILL), OOMKilled"
        );
        assert_eq!(brief(&[]), "it has no pods");
    }

    #[test]
    fn all_pods_are_shown_whether_they_are_ready_or_not() {
        let pod = |name: &str, ready: bool, state: serde_json::Value| {
            let status = |name: &str, state: &serde_json::Value| json!({"name": name, "image": "i", "imageID": "i", "ready": ready, "restartCount": 1, "state": state});
            let pod = json!({"metadata": {"name": name, "creationTimestamp": "2026-01-02T03:04:05Z"},
                "spec": {"nodeName": "local", "containers": [{"name": "testbed"}],
                    "initContainers": [{"name": "istio-init"}, {"name": "istio-proxy", "restartPolicy": "Always"}]},
                "status": {"phase": "Running", "podIP": "10.1.0.7", "containerStatuses": [status("testbed", &state)],
                    "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
                    "initContainerStatuses": [status("istio-proxy", &json!({"running": {}}))]}});
            serde_json::from_value::<Pod>(pod).unwrap()
        };
        let up = pod("greeter-1", true, json!({"running": {}}));
        let down = pod(
            "caller-77",
            false,
            json!({"waiting": {"reason": "CrashLoopBackOff"}}),
        );
        let now = "2026-01-02T03:07:17Z".parse().unwrap();
        assert_eq!(
            table(&[up, down], now),
            "NAME        READY   STATUS             RESTARTS   AGE     NODE    IP\n\
             greeter-1   2/2     Running            2          3m12s   local   10.1.0.7\n\
             caller-77   0/2     CrashLoopBackOff   2          3m12s   local   10.1.0.7\n"
        );
        assert_eq!(table(&[], now), "no pod was created\n");
    }

    #[rstest]
    #[case::no_image("ErrImageNeverPull", 0, true)]
    #[case::refused_by_its_node("Unsupported", 0, true)]
    #[case::no_volume("FailedMount", 0, true)]
    #[case::first_crashes("CrashLoopBackOff", 2, false)]
    #[case::crash_loop("CrashLoopBackOff", 3, true)]
    #[case::slow_registry("ImagePullBackOff", 0, false)]
    #[case::starting("ContainerCreating", 0, false)]
    fn waiting_ends_where_it_cannot_help(
        #[case] reason: &str,
        #[case] restarts: i32,
        #[case] hopeless: bool,
    ) {
        let status = json!({"name": "c", "image": "i", "imageID": "i", "ready": false, "restartCount": restarts,
            "state": {"waiting": {"reason": reason}}});
        let mut pod: Pod =
            serde_json::from_value(json!({"status": {"containerStatuses": [status]}})).unwrap();
        assert_eq!(is_hopeless(&pod), hopeless);
        pod.metadata.deletion_timestamp = Some(
            k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH),
        );
        assert!(!is_hopeless(&pod), "it is being deleted");
    }
}
