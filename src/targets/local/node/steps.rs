//! The steps of a pod's worker: preparing, starting, probing, stopping, reporting, and the end.

use std::{
    fs,
    io::Read as _,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use kube::{
    Api,
    api::{DeleteParams, Preconditions},
};
use nix::sys::signal::Signal;

use super::{
    events::Weight,
    lifecycle, logs,
    message::Message,
    prepare,
    probe_action::ProbeAction,
    probes::{self, ProbeKind, Timing},
    process::Exit,
    rootfs,
    start::{self, Start},
    state::Action,
    status,
    worker::Worker,
};
use crate::errors::chain;

/// Longest termination message that is kept, in bytes (Kubernetes documentation, "Customizing the
/// termination message").
const LONGEST_MESSAGE: u64 = 4096;
/// How long a volume may be missing before the containers report it: its sources may be about to
/// be created.
const VOLUME_PATIENCE: Duration = Duration::from_secs(20);
/// Reason of containers that wait for a volume.
const FAILED_MOUNT: &str = "FailedMount";
/// Longest sleep of a worker that has tokens.
const LONGEST_NAP: Duration = Duration::from_secs(60);
/// Default `terminationGracePeriodSeconds` (Kubernetes API).
const DEFAULT_GRACE: i64 = 30;

impl Worker {
    /// Does everything that can be done now. Returns when to run again if nothing happens before.
    pub async fn advance(&mut self) -> Option<Instant> {
        let now = Instant::now();
        self.notice_end(now);
        if !self.prepared && !self.state.terminating && self.all_here() {
            self.prepared = self.write_volumes();
        }
        let mut wake = self.refresh_tokens();
        wake = earliest(wake, self.give_up_volumes(now));
        if self.prepared || self.state.terminating {
            let (actions, at) = self.state.decide(now);
            wake = earliest(wake, at);
            for action in actions {
                match action {
                    Action::Start(slot) => self.start(slot),
                    Action::Stop(slot) => self.stop(slot, None),
                    Action::Finish => self.finish().await,
                }
            }
        }
        if !self.finished && !self.gone {
            self.report();
        }
        earliest(wake, self.deadline.filter(|_| !self.state.terminating))
    }

    /// Terminates the pod on its deletion, when its object is gone, or after
    /// `activeDeadlineSeconds`.
    fn notice_end(&mut self, now: Instant) {
        if self.gone {
            self.state.terminating = true;
            for process in self
                .runtimes
                .iter()
                .filter_map(|runtime| runtime.process.as_ref())
            {
                process.signal(Signal::SIGKILL);
            }
            return;
        }
        if self.pod.metadata.deletion_timestamp.is_some() {
            let grace = self
                .pod
                .metadata
                .deletion_grace_period_seconds
                .unwrap_or(DEFAULT_GRACE);
            let by = tokio::time::Instant::now() + seconds(grace);
            self.stop_by = Some(self.stop_by.map_or(by, |before| before.min(by)));
            self.state.terminating = true;
        } else if self.deadline.is_some_and(|deadline| now >= deadline) && !self.state.terminating {
            let message =
                "Pod was active on the node longer than the specified deadline".to_owned();
            self.warn("DeadlineExceeded", message.clone());
            self.facts.failed = Some(("DeadlineExceeded", message));
            self.state.terminating = true;
        }
    }

    /// Makes a volume that has been missing for a while the reason for which the containers wait,
    /// visible in their statuses. If it still appears, they start. Returns when to check again.
    fn give_up_volumes(&mut self, now: Instant) -> Option<Instant> {
        let running = self.prepared || self.state.terminating;
        let (since, message) = self.lacking.as_ref().filter(|_| !running)?;
        let at = *since + VOLUME_PATIENCE;
        if now < at {
            return Some(at);
        }
        self.state.refuse(FAILED_MOUNT, &message.clone());
        None
    }

    /// Requests a new token when four fifths of a token's lifetime are over. Returns when to
    /// check again: in a minute at the latest, because timers stand still while the machine
    /// sleeps.
    fn refresh_tokens(&mut self) -> Option<Instant> {
        let now = SystemTime::now();
        let due: Vec<_> = self
            .refresh
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            self.refresh.remove(&key);
            self.tasks.spawn(prepare::fetch_token(
                self.shared.clone(),
                self.pod.clone(),
                key,
                self.tell.clone(),
            ));
        }
        let next = self.refresh.values().min()?;
        let wait = next.duration_since(now).unwrap_or_default();
        Some(Instant::now() + wait.min(LONGEST_NAP))
    }

    fn start(&mut self, slot: usize) {
        let Some(sandbox) = &self.sandbox else { return };
        let (namespaces, pod_ip) = (sandbox.namespaces.clone(), sandbox.ip);
        self.state.slots[slot].begin();
        let runtime = &mut self.runtimes[slot];
        runtime.run += 1;
        runtime.began = Some((Instant::now(), Timestamp::now()));
        let start = Start {
            run: runtime.run,
            restarts: self.state.slots[slot].restarts,
            shared: self.shared.clone(),
            pod: self.pod.clone(),
            container: self.container(slot),
            known: self.known.clone(),
            pod_dir: self.pod_dir.clone(),
            tell: self.tell.clone(),
            slot,
            namespaces,
            pod_ip,
        };
        self.runtimes[slot].starting = Some(self.tasks.spawn(start.run()));
    }

    /// Stops a container that has a process. Without `grace`, the pod's grace period applies.
    pub fn stop(&mut self, slot: usize, grace: Option<i64>) {
        let state = &mut self.state.slots[slot];
        let Some(process) = self.runtimes[slot]
            .process
            .clone()
            .filter(|_| !state.stopping)
        else {
            return;
        };
        state.stopping = true;
        let of_pod = self
            .pod
            .spec
            .as_ref()
            .and_then(|spec| spec.termination_grace_period_seconds);
        let by = tokio::time::Instant::now() + seconds(grace.or(of_pod).unwrap_or(DEFAULT_GRACE));
        let by = self.stop_by.map_or(by, |limit| limit.min(by));
        self.shared.events.report(
            &self.pod,
            Weight::Normal,
            "Killing",
            format!("Stopping container {}", state.name),
        );
        let container = self.container(slot);
        let target = start::target(
            &self.shared,
            &self.pod_dir,
            &container.name,
            self.addresses().pod,
        );
        let (events, pod, name) = (
            self.shared.events.clone(),
            self.pod.clone(),
            container.name.clone(),
        );
        let complain = move |message| {
            events.report(
                &pod,
                Weight::Warning,
                "FailedPreStopHook",
                format!("PreStopHook of container {name} failed: {message}"),
            );
        };
        self.tasks
            .spawn(lifecycle::stop(container, target, process, by, complain));
    }

    /// A liveness or startup probe has failed for good: stops the container, and its restart
    /// policy decides what follows.
    pub fn kill_unhealthy(&mut self, slot: usize, kind: ProbeKind) {
        if self.state.slots[slot].stopping {
            return;
        }
        let container = self.container(slot);
        let probe = if kind == ProbeKind::Startup {
            &container.startup_probe
        } else {
            &container.liveness_probe
        };
        let grace = probe
            .as_ref()
            .and_then(|probe| probe.termination_grace_period_seconds);
        let note = format!(
            "Container {} failed {} probe, will be restarted",
            container.name,
            kind.name().to_lowercase()
        );
        self.shared
            .events
            .report(&self.pod, Weight::Normal, "Killing", note);
        self.stop(slot, grace);
    }

    /// Starts the probe if the container has one.
    pub fn start_probe(&mut self, slot: usize, kind: ProbeKind) {
        let container = self.container(slot);
        let probe: Option<Probe> = match kind {
            ProbeKind::Startup => container.startup_probe.clone(),
            ProbeKind::Readiness => container.readiness_probe.clone(),
            ProbeKind::Liveness => container.liveness_probe.clone(),
        };
        let Some(probe) = probe else { return };
        let target = start::target(
            &self.shared,
            &self.pod_dir,
            &container.name,
            self.addresses().pod,
        );
        let Some(check) = self.probe_action(&container, &probe, kind, &target.pod_ip) else {
            return;
        };
        let (tell, run) = (self.tell.clone(), self.runtimes[slot].run);
        let verdict = move |verdict| {
            let _ = tell.send(Message::Probed {
                slot,
                run,
                kind,
                verdict,
            });
        };
        let (events, pod, name) = (self.shared.events.clone(), self.pod.clone(), container.name);
        let failed = move |message: &str| {
            events.report(
                &pod,
                Weight::Warning,
                "Unhealthy",
                format!(
                    "{} probe of container {name} failed: {message}",
                    kind.name()
                ),
            );
        };
        let task = self.tasks.spawn(probes::probe(
            kind,
            Timing::from(&probe),
            check,
            target,
            verdict,
            failed,
        ));
        self.runtimes[slot].probes.push(task);
    }

    /// Returns what the probe does, if anything. Reports a probe that cannot be carried out.
    fn probe_action(
        &self,
        container: &Container,
        probe: &Probe,
        kind: ProbeKind,
        pod_ip: &str,
    ) -> Option<ProbeAction> {
        let action = ProbeAction::new(
            container,
            pod_ip,
            probe.exec.as_ref(),
            probe.http_get.as_ref(),
            probe.tcp_socket.as_ref(),
            probe.grpc.as_ref(),
        );
        match action {
            Ok(action) => action,
            Err(error) => {
                let message = chain(&error);
                self.warn("Unhealthy", format!("{} probe: {message}", kind.name()));
                None
            }
        }
    }

    /// Passes the current status to the publisher.
    fn report(&mut self) {
        let before = self.publisher.last().or_else(|| self.pod.status.clone());
        let status = status::status(
            &self.pod,
            &self.state,
            &self.facts,
            before.as_ref(),
            Timestamp::now(),
        );
        self.publisher.give(status);
    }

    /// Every container has ended for good. A pod that is being deleted is removed; a finished one
    /// keeps its status.
    async fn finish(&mut self) {
        if let Some(sandbox) = self.sandbox.take() {
            self.shared
                .running
                .set_namespaces(&self.namespace, &self.name, &self.uid, None);
            prepare::remove_sandbox(&self.shared, sandbox);
        }
        let deleted = self.pod.metadata.deletion_timestamp.is_some();
        if !self.gone && !deleted {
            return;
        }
        if !self.gone {
            self.report();
            let spare = super::publisher::Publisher::start(self.shared.clone(), self.pod.clone());
            std::mem::replace(&mut self.publisher, spare).finish().await;
            self.delete().await;
        }
        self.shared.sources.unsubscribe(&self.uid);
        self.shared
            .running
            .remove(&self.namespace, &self.name, &self.uid);
        self.tasks.abort_all();
        if let Err(error) = fs::remove_dir_all(&self.pod_dir)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(pod = self.name, %error, "cannot remove the pod's files");
        }
        self.finished = true;
    }

    /// Deletes the pod's object, as a kubelet does once nothing of the pod is left.
    async fn delete(&self) {
        let api: Api<Pod> = Api::namespaced(self.shared.cfg.client.clone(), &self.namespace);
        let preconditions = Preconditions {
            uid: Some(self.uid.clone()),
            resource_version: None,
        };
        let how = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(preconditions),
            ..DeleteParams::default()
        };
        for _ in 0..5 {
            match api.delete(&self.name, &how).await {
                Ok(_) => return,
                Err(kube::Error::Api(answer)) if answer.code == 404 || answer.code == 409 => return,
                Err(error) => {
                    tracing::warn!(namespace = self.namespace, pod = self.name, %error, "cannot delete the pod; retrying");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }

    pub fn container_id(&self, slot: usize) -> String {
        format!(
            "{}-{}-{}",
            self.uid, self.state.slots[slot].name, self.state.slots[slot].restarts
        )
    }

    /// The message at the container's termination message path or, if its policy says so, the end
    /// of its log.
    pub fn termination_message(&self, slot: usize, exit: Exit) -> Option<String> {
        let dir = rootfs::container_dir(&self.pod_dir, &self.state.slots[slot].name);
        let mut bytes = Vec::new();
        // The container may have written anything, of any size.
        if let Ok(file) = fs::File::open(dir.join("termination-log")) {
            let _ = file.take(LONGEST_MESSAGE).read_to_end(&mut bytes);
        }
        if !bytes.is_empty() {
            return Some(String::from_utf8_lossy(&bytes).into_owned());
        }
        let policy = self.container(slot).termination_message_policy;
        if exit.code == 0 || policy.as_deref() != Some("FallbackToLogsOnError") {
            return None;
        }
        let log = dir.join(format!("{}.log", self.state.slots[slot].restarts));
        Some(logs::last_words(&log)).filter(|message| !message.is_empty())
    }
}

fn seconds(number: i64) -> Duration {
    Duration::from_secs(u64::try_from(number).unwrap_or(0))
}

fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Whether the pod had ended before the node saw it; such pods are left as they are.
pub(super) fn over(pod: &Arc<Pod>) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}
