//! What a pod's worker does when its containers start, fail to start, end or are probed.

use std::{sync::PoisonError, time::Instant};

use jiff::Timestamp;
use nix::sys::signal::Signal;

use super::{
    probes::{ProbeKind, ProbeVerdict},
    process::{Exit, Process},
    refusal::Refusal,
    start,
    state::{ContainerPhase, Ended},
    worker::Worker,
};

impl Worker {
    /// Whether a message is about the current run of a container.
    pub(super) fn current(&self, slot: usize, run: u32) -> bool {
        self.runtimes[slot].run == run && self.state.slots[slot].alive()
    }

    pub(super) fn launched(&mut self, slot: usize, run: u32, process: Process) {
        if !self.current(slot, run) {
            return;
        }
        if self.gone {
            process.signal(Signal::SIGKILL);
        }
        self.runtimes[slot].process = Some(process);
        self.state.slots[slot].phase = ContainerPhase::Starting { launched: true };
        self.state.slots[slot].id = Some(self.container_id(slot));
        if let Some(exit) = self.runtimes[slot].early_exit.take() {
            self.exited(slot, run, exit);
        }
    }

    pub(super) fn started(&mut self, slot: usize, run: u32) {
        if !self.current(slot, run) {
            return;
        }
        let since = self.runtimes[slot]
            .began
            .map_or_else(Timestamp::now, |(_, at)| at);
        let state = &mut self.state.slots[slot];
        state.phase = ContainerPhase::Running { since };
        start::report_started(&self.shared, &self.pod, &state.name);
        let container = self.container(slot);
        self.state.slots[slot].started = container.startup_probe.is_none();
        if container.startup_probe.is_some() {
            self.start_probe(slot, ProbeKind::Startup);
        } else {
            self.startup_done(slot);
        }
    }

    /// The container has started: readiness and liveness probes begin.
    pub(super) fn startup_done(&mut self, slot: usize) {
        let container = self.container(slot);
        self.state.slots[slot].started = true;
        self.state.slots[slot].ready = container.readiness_probe.is_none();
        self.start_probe(slot, ProbeKind::Readiness);
        self.start_probe(slot, ProbeKind::Liveness);
    }

    pub(super) fn hook_failed(&mut self, slot: usize, run: u32, message: String) {
        if self.current(slot, run) {
            self.warn(
                "FailedPostStartHook",
                format!(
                    "PostStartHook of container {} failed: {message}",
                    self.state.slots[slot].name
                ),
            );
            self.stop(slot, None);
        }
    }

    pub(super) fn refused(&mut self, slot: usize, run: u32, refusal: Refusal) {
        if !self.current(slot, run) {
            return;
        }
        let Refusal {
            reason,
            message,
            retry,
        } = refusal;
        let name = self.state.slots[slot].name.clone();
        self.warn("Failed", format!("Error: container {name}: {message}"));
        match retry {
            Some(retry) => {
                self.state.slots[slot].refuse(reason, message, retry, Instant::now());
            }
            None => self.ended(slot, Exit { code: 128 }, reason, Some(message)),
        }
    }

    /// Retries containers that could not be configured: what was missing may exist now.
    pub(super) fn retry_refused(&mut self) {
        for slot in &mut self.state.slots {
            if matches!(
                slot.phase,
                ContainerPhase::Waiting {
                    reason: Some("CreateContainerConfigError"),
                    ..
                }
            ) {
                slot.not_before = None;
            }
        }
    }

    pub(super) fn exited(&mut self, slot: usize, run: u32, exit: Exit) {
        if !self.current(slot, run) {
            return;
        }
        if self.state.slots[slot].phase == (ContainerPhase::Starting { launched: false }) {
            // the reply to its start is still pending and tells whether the program ran at all
            self.runtimes[slot].early_exit = Some(exit);
            return;
        }
        if let Some(why) = self.killed_for_memory(slot) {
            return self.ended(slot, exit, "OOMKilled", Some(why));
        }
        let reason = if exit.code == 0 { "Completed" } else { "Error" };
        let message = self.termination_message(slot, exit);
        self.ended(slot, exit, reason, message);
    }

    fn killed_for_memory(&self, slot: usize) -> Option<String> {
        let process = self.runtimes[slot].process.as_ref()?;
        let why = process.killed.lock();
        why.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn ended(
        &mut self,
        slot: usize,
        exit: Exit,
        reason: &'static str,
        message: Option<String>,
    ) {
        let runtime = &mut self.runtimes[slot];
        for task in runtime.probes.drain(..).chain(runtime.starting.take()) {
            task.abort();
        }
        (runtime.process, runtime.early_exit) = (None, None);
        let (began, started) = runtime
            .began
            .map_or((Instant::now(), None), |(at, stamp)| (at, Some(stamp)));
        let id = self.container_id(slot);
        let ended = Ended {
            code: exit.code,
            reason,
            message,
            id,
            started,
            finished: Timestamp::now(),
        };
        self.state.slots[slot].end(ended, began.elapsed(), Instant::now());
        let name = self.state.slots[slot].name.clone();
        self.shared
            .running
            .update(&self.namespace, &self.name, &self.uid, &name, |entry| {
                entry.enter_file = None
            });
        let delayed = self.state.slots[slot].delayed;
        if !delayed.is_zero()
            && self.state.slots[slot].restarts_after_end(self.state.policy)
            && !self.state.terminating
        {
            self.warn(
                "BackOff",
                format!(
                    "Back-off {} s restarting failed container {name}",
                    delayed.as_secs()
                ),
            );
        }
    }

    pub(super) fn probed(&mut self, slot: usize, run: u32, kind: ProbeKind, verdict: ProbeVerdict) {
        if !self.current(slot, run) {
            return;
        }
        match (kind, verdict) {
            (ProbeKind::Startup, ProbeVerdict::Good) => self.startup_done(slot),
            (ProbeKind::Readiness, verdict) => {
                self.state.slots[slot].ready = verdict == ProbeVerdict::Good
            }
            (ProbeKind::Liveness, ProbeVerdict::Good) => {}
            (kind, ProbeVerdict::Bad(_)) => self.kill_unhealthy(slot, kind),
        }
    }
}
