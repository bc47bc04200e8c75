//! One container of a pod: its role, its phase, and the delay before it may start again.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Container;

/// First delay between restarts, longest delay, and the run time after which the delay is reset:
/// the kubelet's values.
const BACKOFF_FIRST: Duration = Duration::from_secs(10);
const BACKOFF_LONGEST: Duration = Duration::from_secs(300);
const BACKOFF_FORGET: Duration = Duration::from_secs(600);

/// Role of a container in its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Runs to its end before the next container starts.
    Init,
    /// An init container with `restartPolicy: Always`: starts in its turn, keeps running, and
    /// stops after the main containers.
    Sidecar,
    Main,
}

/// `spec.restartPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RestartPolicy {
    Always,
    OnFailure,
    Never,
}

/// A container's finished run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    pub code: i32,
    pub reason: &'static str,
    pub message: Option<String>,
    pub id: String,
    pub started: Option<Timestamp>,
    pub finished: Timestamp,
}

/// Phase of a container's lifecycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ContainerPhase {
    /// Not started, or its start failed for the reason given.
    Waiting {
        reason: Option<&'static str>,
        message: Option<String>,
    },
    /// Being started; `launched` once it has a process (the postStart hook may still run).
    Starting {
        launched: bool,
    },
    Running {
        since: Timestamp,
    },
    Ended(Ended),
}

/// The delay before a container may start again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Backoff {
    delay: Option<Duration>,
}

impl Backoff {
    /// How long to wait after a run of this length. The first restart is immediate; then 10 s,
    /// doubling up to five minutes.
    pub fn after(&mut self, ran: Duration) -> Duration {
        if ran >= BACKOFF_FORGET {
            self.delay = None;
        }
        let now = self.delay.unwrap_or_default();
        self.delay = Some(if now.is_zero() {
            BACKOFF_FIRST
        } else {
            (now * 2).min(BACKOFF_LONGEST)
        });
        now
    }
}

/// One container of the pod.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub name: String,
    pub image: String,
    pub role: Role,
    pub phase: ContainerPhase,
    /// The startup probe has passed, or there is none and the container runs.
    pub started: bool,
    pub ready: bool,
    pub restarts: i32,
    pub id: Option<String>,
    pub last: Option<Ended>,
    pub backoff: Backoff,
    /// The current restart delay.
    pub delayed: Duration,
    pub not_before: Option<Instant>,
    pub stopping: bool,
}

impl Slot {
    pub fn new(container: &Container, role: Role) -> Self {
        Self {
            name: container.name.clone(),
            image: container.image.clone().unwrap_or_default(),
            role,
            phase: ContainerPhase::Waiting {
                reason: None,
                message: None,
            },
            started: false,
            ready: false,
            restarts: 0,
            id: None,
            last: None,
            backoff: Backoff::default(),
            delayed: Duration::ZERO,
            not_before: None,
            stopping: false,
        }
    }

    pub fn alive(&self) -> bool {
        matches!(
            self.phase,
            ContainerPhase::Starting { .. } | ContainerPhase::Running { .. }
        )
    }

    pub fn ended(&self) -> Option<&Ended> {
        match &self.phase {
            ContainerPhase::Ended(ended) => Some(ended),
            _ => None,
        }
    }

    /// Whether the container restarts after it has ended.
    pub fn restarts_after_end(&self, policy: RestartPolicy) -> bool {
        let Some(ended) = self.ended() else {
            return false;
        };
        match (self.role, policy) {
            (Role::Sidecar, _) | (Role::Main, RestartPolicy::Always) => true,
            (Role::Init, RestartPolicy::Always) | (_, RestartPolicy::OnFailure) => ended.code != 0,
            (_, RestartPolicy::Never) => false,
        }
    }

    /// Records the end of a run.
    pub fn end(&mut self, ended: Ended, ran: Duration, now: Instant) {
        self.delayed = self.backoff.after(ran);
        self.not_before = Some(now + self.delayed);
        (self.started, self.ready, self.stopping) = (false, false, false);
        self.phase = ContainerPhase::Ended(ended);
    }

    /// Records that a start failed before there was a process.
    pub fn refuse(&mut self, reason: &'static str, message: String, retry: Duration, now: Instant) {
        self.not_before = Some(now + retry);
        self.phase = ContainerPhase::Waiting {
            reason: Some(reason),
            message: Some(message),
        };
    }

    /// Records that a start has begun.
    pub fn begin(&mut self) {
        if let ContainerPhase::Ended(ended) = std::mem::replace(
            &mut self.phase,
            ContainerPhase::Starting { launched: false },
        ) {
            self.last = Some(ended);
            self.restarts += 1;
        }
        (self.started, self.ready, self.stopping, self.not_before) = (false, false, false, None);
    }
}
