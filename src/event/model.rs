//! The event type. The engine emits events, `events.jsonl` stores them, and reports are rendered
//! from them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::run_id::RunId;
use crate::{
    errors::ErrorClass,
    scenario::{StepNumber, model::Level},
    seed::Seed,
    verdict::outcome::{Check, Verdict},
};

/// Version of the log's format. The first event carries it.
pub const SCHEMA: u32 = 3;

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
    /// A phase of starting the target or the mesh: shown as progress and timed in the report.
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
        /// The number of this run of the scenario, from 1. Absent if the scenario runs once.
        #[serde(default, skip_serializing_if = "is_only")]
        attempt: u32,
        title: String,
        area: String,
        proves: Vec<String>,
        /// Absent in logs from before there were levels.
        #[serde(default)]
        level: Level,
        file: String,
        /// Arguments of `meshproof run` that select it from any working directory.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        again: Vec<String>,
    },
    ScenarioStarted {
        id: String,
        /// The number of this run of the scenario, from 1. Absent if the scenario runs once.
        #[serde(default, skip_serializing_if = "is_only")]
        attempt: u32,
    },
    StepStarted {
        id: String,
        /// The number of this run of the scenario, from 1. Absent if the scenario runs once.
        #[serde(default, skip_serializing_if = "is_only")]
        attempt: u32,
        step: StepNumber,
        what: String,
    },
    StepEnded {
        id: String,
        /// The number of this run of the scenario, from 1. Absent if the scenario runs once.
        #[serde(default, skip_serializing_if = "is_only")]
        attempt: u32,
        step: StepNumber,
        ms: u64,
        error: Option<String>,
        /// The class of the error. Absent in logs from before errors had a class.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        class: Option<ErrorClass>,
    },
    /// A piece of evidence in `evidence/<id>/`, or `evidence/<id>~<attempt>/`.
    Evidence {
        id: String,
        /// The number of this run of the scenario, from 1. Absent if the scenario runs once.
        #[serde(default, skip_serializing_if = "is_only")]
        attempt: u32,
        file: String,
        caption: String,
    },
    Checked {
        id: String,
        /// The number of this run of the scenario, from 1. Absent if the scenario runs once.
        #[serde(default, skip_serializing_if = "is_only")]
        attempt: u32,
        step: StepNumber,
        check: Box<Check>,
    },
    ScenarioEnded(Box<ScenarioEnd>),
    /// A remark that does not affect any verdict.
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
    /// Converts an event of an older log to [`SCHEMA`].
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

/// What is needed to repeat the run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunInfo {
    pub schema: u32,
    pub run_id: RunId,
    pub meshproof: String,
    /// Start time by the wall clock: RFC 3339 in UTC, whole seconds.
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
    /// The arguments after the scenario in the commands that repeat single scenarios, quoted for
    /// a shell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub again: Vec<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_only(attempt: &u32) -> bool {
    *attempt == 0
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScenarioEnd {
    pub id: String,
    /// The number of this run of the scenario, from 1. Absent if the scenario runs once.
    #[serde(default, skip_serializing_if = "is_only")]
    pub attempt: u32,
    pub verdict: Verdict,
    /// The reason for the verdict, on one line. Empty for PASS.
    pub cause: String,
    /// The class of an ERROR. Absent for other verdicts, and in logs from before errors had a
    /// class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<ErrorClass>,
    pub wall_ms: u64,
    /// The minimum time, a part of `wall_ms`: debounce, pushes, the calls themselves and the
    /// scenario's timers.
    #[serde(alias = "floor_ms")] // its name up to schema 2
    pub min_ms: u64,
    /// Counts of calls made, attempts that servers recorded, …
    pub samples: BTreeMap<String, u64>,
    /// Link of the known-failure entry, if it decided the verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<String>,
}
