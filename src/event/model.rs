//! The one event type. The engine emits it, `events.jsonl` keeps it, every report renders from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::run_id::RunId;
use crate::{
    errors::ErrorClass,
    scenario::{StepNumber, model::Level},
    seed::Seed,
    verdict::outcome::{Check, Verdict},
};

/// Version of the log's format; the first event carries it.
pub const SCHEMA: u32 = 2;

/// The oldest version that can still be read. Version 1 counted steps from 0.
pub const OLDEST_SCHEMA: u32 = 1;

/// One line of `events.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Milliseconds since the run began (monotonic).
    pub at_ms: u64,
    #[serde(flatten)]
    pub kind: EventKind,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventKind {
    RunStarted(Box<RunInfo>),
    /// A phase of bringing up target or mesh: progress for people, a timing for the report.
    PhaseStarted {
        phase: String,
    },
    PhaseEnded {
        phase: String,
        ms: u64,
        error: Option<String>,
    },
    /// Facts known only after bring-up (mesh version, proxies, capabilities).
    TargetReady {
        versions: BTreeMap<String, String>,
        capabilities: Vec<String>,
        lacks: Vec<String>,
    },
    ScenarioPlanned {
        id: String,
        /// Which of its runs, from 1; absent where it runs once.
        #[serde(default, skip_serializing_if = "is_only")]
        attempt: u32,
        title: String,
        area: String,
        proves: Vec<String>,
        /// Absent in logs of before there were levels.
        #[serde(default)]
        level: Level,
        file: String,
        /// Words that name it to `meshproof run` from anywhere.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        again: Vec<String>,
    },
    ScenarioStarted {
        id: String,
        /// Which of its runs, from 1; absent where it runs once.
        #[serde(default, skip_serializing_if = "is_only")]
        attempt: u32,
    },
    StepStarted {
        id: String,
        /// Which of its runs, from 1; absent where it runs once.
        #[serde(default, skip_serializing_if = "is_only")]
        attempt: u32,
        step: StepNumber,
        what: String,
    },
    StepEnded {
        id: String,
        /// Which of its runs, from 1; absent where it runs once.
        #[serde(default, skip_serializing_if = "is_only")]
        attempt: u32,
        step: StepNumber,
        ms: u64,
        error: Option<String>,
        /// Whose trouble the error is; absent in logs of before errors had a class.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        class: Option<ErrorClass>,
    },
    /// A piece of evidence in `evidence/<id>/`, or `evidence/<id>~<attempt>/`.
    Evidence {
        id: String,
        /// Which of its runs, from 1; absent where it runs once.
        #[serde(default, skip_serializing_if = "is_only")]
        attempt: u32,
        file: String,
        caption: String,
    },
    Checked {
        id: String,
        /// Which of its runs, from 1; absent where it runs once.
        #[serde(default, skip_serializing_if = "is_only")]
        attempt: u32,
        step: StepNumber,
        check: Box<Check>,
    },
    ScenarioEnded(Box<ScenarioEnd>),
    /// Something worth telling that is nobody's verdict.
    Note {
        text: String,
    },
    Interrupted {
        signal: String,
    },
    RunEnded {
        wall_ms: u64,
    },
}

impl Event {
    /// Brings an event of an older log to [`SCHEMA`].
    pub fn upgrade(&mut self, from: u32) {
        match &mut self.kind {
            EventKind::RunStarted(run) => run.schema = SCHEMA,
            EventKind::StepStarted { step, .. }
            | EventKind::StepEnded { step, .. }
            | EventKind::Checked { step, .. }
                if from == 1 =>
            {
                *step = step.next();
            }
            _ => {}
        }
    }
}

/// What must be known to run the same again.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunInfo {
    pub schema: u32,
    pub run_id: RunId,
    pub meshproof: String,
    /// When it began, by the wall clock: RFC 3339 in UTC, whole seconds.
    pub started: String,
    pub target: String,
    pub mesh: String,
    pub profile: String,
    pub seed: Seed,
    pub jobs: usize,
    pub alpha: f64,
    pub beta: f64,
    pub args: Vec<String>,
    /// Command that reproduces the run.
    pub reproduce: String,
    /// What the commands of its scenarios have behind the scenario, as words of a shell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub again: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_only(attempt: &u32) -> bool {
    *attempt == 0
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScenarioEnd {
    pub id: String,
    /// Which of its runs, from 1; absent where it runs once.
    #[serde(default, skip_serializing_if = "is_only")]
    pub attempt: u32,
    pub verdict: Verdict,
    /// One line: why. Empty for PASS.
    pub cause: String,
    /// Whose trouble an ERROR is; absent for other verdicts, and in logs of before errors had a
    /// class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<ErrorClass>,
    pub wall_ms: u64,
    /// Part of `wall_ms` that is the floor: debounce, push, calls' own time and timers of the
    /// scenario.
    pub min_ms: u64,
    /// Calls made, attempts the servers counted, …
    pub samples: BTreeMap<String, u64>,
    /// Link of the known-failure entry, when it decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<String>,
}
