//! The pods of a run, in one watch for all scenarios.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use kube::{
    Api, Client, ResourceExt as _,
    api::LogParams,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event},
    },
};
use nix::sys::signal::Signal;
use tokio::{sync::watch, task::JoinHandle, time::timeout};

type Key = (String, String);

#[derive(Default)]
struct State {
    pods: BTreeMap<Key, Arc<Pod>>,
    /// Uids of all pods ever seen, by namespace: a name may be reused.
    ever: BTreeMap<String, BTreeSet<String>>,
    /// Number of changes in each namespace: those of others concern nobody who waits for it.
    changes: BTreeMap<String, u64>,
}

impl State {
    fn insert(&mut self, pod: Pod) {
        let (key, uid) = (key(&pod), pod.uid().unwrap_or_default());
        self.count(&key.0);
        self.ever.entry(key.0.clone()).or_default().insert(uid);
        self.pods.insert(key, Arc::new(pod));
    }

    fn remove(&mut self, key: &Key) {
        self.count(&key.0);
        self.pods.remove(key);
    }

    /// Replaces the old list with a whole new one.
    fn relist(&mut self, pods: BTreeMap<Key, Pod>) {
        let old = std::mem::take(&mut self.pods);
        old.keys().for_each(|(namespace, _)| self.count(namespace));
        pods.into_values().for_each(|pod| self.insert(pod));
    }

    fn count(&mut self, namespace: &str) {
        match self.changes.get_mut(namespace) {
            Some(changes) => *changes += 1,
            None => drop(self.changes.insert(namespace.to_owned(), 1)),
        }
    }

    fn changes(&self, namespace: &str) -> u64 {
        self.changes.get(namespace).copied().unwrap_or(0)
    }

    /// The pods of one namespace, in the order of their names.
    fn of(&self, namespace: &str) -> Vec<Arc<Pod>> {
        let first = (namespace.to_owned(), String::new());
        let from = self.pods.range(first..);
        from.take_while(|((space, _), _)| space == namespace)
            .map(|(_, pod)| Arc::clone(pod))
            .collect()
    }
}

/// A live view of pods selected by a label.
pub struct PodWatch {
    state: Arc<Mutex<State>>,
    changed: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

impl Drop for PodWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl PodWatch {
    /// Watches the pods that match `selector`, in all namespaces.
    pub fn start(client: &Client, selector: &str) -> Self {
        Self::over(Api::all(client.clone()), selector)
    }

    /// Watches the pods of a namespace that match `selector`.
    pub fn within(client: &Client, namespace: &str, selector: &str) -> Self {
        Self::over(Api::namespaced(client.clone(), namespace), selector)
    }

    fn over(api: Api<Pod>, selector: &str) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let (notify, changed) = watch::channel(0);
        let shared = Arc::clone(&state);
        let config = watcher::Config::default().labels(selector);
        let task = tokio::spawn(async move {
            // Who wrote which field is of no use here, and is half of a pod.
            let events = watcher::watcher(api, config).modify(|pod: &mut Pod| {
                pod.metadata.managed_fields = None;
            });
            let mut events = events.default_backoff().boxed();
            // A new list replaces the old one at once: pods that were not read yet are not gone.
            let mut listed = BTreeMap::new();
            while let Some(event) = events.next().await {
                let mut state = lock(&shared);
                match event {
                    Ok(Event::Apply(pod)) => state.insert(pod),
                    Ok(Event::Delete(pod)) => state.remove(&key(&pod)),
                    Ok(Event::Init) => listed.clear(),
                    Ok(Event::InitApply(pod)) => drop(listed.insert(key(&pod), pod)),
                    Ok(Event::InitDone) => state.relist(std::mem::take(&mut listed)),
                    Err(error) => {
                        tracing::warn!(%error, "the pod watch failed and is being restarted")
                    }
                }
                drop(state);
                notify.send_modify(|count| *count += 1);
            }
        });
        Self {
            state,
            changed,
            task,
        }
    }

    /// The pods of a namespace, as last seen.
    pub fn of(&self, namespace: &str) -> Vec<Pod> {
        let pods = lock(&self.state).of(namespace);
        pods.iter().map(|pod| Pod::clone(pod)).collect()
    }

    /// The same, for use in another task.
    pub fn view(&self, namespace: &str) -> PodView {
        PodView {
            state: Arc::clone(&self.state),
            changed: self.changed.clone(),
            seen: lock(&self.state).changes(namespace),
            namespace: namespace.to_owned(),
        }
    }

    /// Uids of pods that were in the namespace and are gone or being deleted.
    pub fn departed(&self, namespace: &str) -> BTreeSet<String> {
        let state = lock(&self.state);
        let mut ever = state.ever.get(namespace).cloned().unwrap_or_default();
        for pod in state.pods.values() {
            if pod.metadata.deletion_timestamp.is_none() {
                ever.remove(&pod.uid().unwrap_or_default());
            }
        }
        ever
    }

    /// Waits until `done` returns true for the namespace's pods.
    ///
    /// # Errors
    /// The pods as last seen, if `limit` is over.
    pub async fn until(
        &self,
        namespace: &str,
        limit: Duration,
        done: impl Fn(&[Pod]) -> bool,
    ) -> Result<Vec<Pod>, Vec<Pod>> {
        let mut view = self.view(namespace);
        let waiting = async {
            loop {
                let pods = self.of(namespace);
                if done(&pods) || !view.changed().await {
                    return pods;
                }
            }
        };
        timeout(limit, waiting)
            .await
            .map_err(|_| self.of(namespace))
    }
}

/// The pods of one namespace in a [`PodWatch`].
#[derive(Clone)]
pub struct PodView {
    state: Arc<Mutex<State>>,
    changed: watch::Receiver<u64>,
    /// Number of changes in the namespace when it was last looked at.
    seen: u64,
    namespace: String,
}

impl PodView {
    /// As last seen.
    pub fn pods(&self) -> Vec<Arc<Pod>> {
        lock(&self.state).of(&self.namespace)
    }

    /// Returns when a pod of the namespace has changed since the last call, or since the view
    /// was made. `false`: there will be no more changes.
    pub async fn changed(&mut self) -> bool {
        while self.changed.changed().await.is_ok() {
            let now = lock(&self.state).changes(&self.namespace);
            if now != self.seen {
                self.seen = now;
                return true;
            }
        }
        false
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key(pod: &Pod) -> Key {
    (pod.namespace().unwrap_or_default(), pod.name_any())
}

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

    fn pod(name: &str, uid: &str) -> Pod {
        let pod = json!({"metadata": {"namespace": "n", "name": name, "uid": uid}});
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn a_pod_that_has_taken_the_name_of_another_is_not_the_other() {
        let mut state = State::default();
        state.insert(pod("store-0", "old"));
        state.insert(pod("store-0", "new"));
        state.insert(pod("store-1", "staying"));
        let watch = PodWatch {
            state: Arc::new(Mutex::new(state)),
            changed: watch::channel(0).1,
            task: tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap()
                .spawn(async {}),
        };
        assert_eq!(watch.departed("n"), BTreeSet::from(["old".to_owned()]));
        assert!(watch.departed("another").is_empty());
    }

    #[tokio::test]
    async fn only_changes_in_its_own_namespace_wake_a_view() {
        use futures::FutureExt as _;
        let (notify, changed) = watch::channel(0);
        let watch = PodWatch {
            state: Arc::default(),
            changed,
            task: tokio::spawn(async {}),
        };
        let apply = |namespace: &str, name: &str| {
            let mut pod = pod(name, name);
            pod.metadata.namespace = Some(namespace.to_owned());
            lock(&watch.state).insert(pod);
            notify.send_modify(|count| *count += 1);
        };
        apply("n", "a");
        let mut view = watch.view("n");
        apply("another", "b");
        assert_eq!(view.changed().now_or_never(), None);
        apply("n", "c");
        assert_eq!(view.changed().now_or_never(), Some(true));
        assert_eq!(view.changed().now_or_never(), None);
        let pods = view.pods();
        let names = pods.iter().map(|pod| pod.name_any());
        assert_eq!(names.collect::<Vec<_>>(), ["a", "c"]);
        lock(&watch.state).relist(BTreeMap::new());
        notify.send_modify(|count| *count += 1);
        assert_eq!(view.changed().now_or_never(), Some(true));
        assert!(view.pods().is_empty());
        drop(notify);
        assert_eq!(view.changed().now_or_never(), Some(false));
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
