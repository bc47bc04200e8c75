//! Folds events into what reports show. Pure: the same events give the same model.

use std::collections::BTreeMap;

use super::text::shell_word;
use crate::{
    errors::ErrorClass,
    event::{Event, EventKind, RunInfo, ScenarioEnd},
    exit::Exit,
    scenario::{StepNumber, loaded::run_name, model::Level},
    verdict::outcome::{Check, Verdict},
};

/// A run as described by its events.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Model {
    pub run: RunInfo,
    pub versions: BTreeMap<String, String>,
    pub capabilities: Vec<String>,
    pub lacks: Vec<String>,
    pub phases: Vec<BringUpPhase>,
    /// The target was ready.
    pub ready: bool,
    /// Why the reports of this run are incomplete. Never part of a report: none is written then.
    pub unwritten: Option<String>,
    /// In planned order.
    pub scenarios: Vec<ScenarioReport>,
    pub notes: Vec<String>,
    /// Signal that stopped the run.
    pub interrupted: Option<String>,
    /// The run ended by itself: its last event was seen.
    pub complete: bool,
    pub wall_ms: u64,
}

/// A phase of bringing up the target or the mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BringUpPhase {
    pub name: String,
    /// `None`: it did not end.
    pub ms: Option<u64>,
    pub error: Option<String>,
    /// The part of the run that it belongs to.
    pub part: Part,
}

/// A part of a run outside its scenarios, by its name in reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    BringUp,
    /// The running target, after bring-up.
    Run,
    TearDown,
    Reports,
}

impl Part {
    pub fn name(self) -> &'static str {
        match self {
            Self::BringUp => "bring-up",
            Self::Run => "run",
            Self::TearDown => TEAR_DOWN,
            Self::Reports => "reports",
        }
    }
}

/// The phase in which a target is taken down.
pub const TEAR_DOWN: &str = "tear-down";

/// A failure outside scenarios: an error of the run, in every report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub part: Part,
    /// The phase in which it happened, if it says more than the part.
    pub phase: Option<String>,
    pub ms: Option<u64>,
    pub error: String,
}

impl Failure {
    /// What failed and why, on one line.
    pub fn message(&self) -> String {
        match &self.phase {
            Some(phase) => format!("{phase}: {}", self.error),
            None => self.error.clone(),
        }
    }
}

/// One scenario.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScenarioReport {
    pub id: String,
    /// 2 or more if the same scenario was started again (`--repeat`).
    pub attempt: u32,
    pub plan: PlanReport,
    pub started: bool,
    pub end: EndReport,
    pub steps: Vec<StepReport>,
    pub checks: Vec<CheckReport>,
    pub evidence: Vec<EvidenceReport>,
}

/// The plan of a scenario, the same for every attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanReport {
    pub title: String,
    pub area: String,
    pub proves: Vec<String>,
    pub level: Level,
    pub file: String,
    /// Arguments that select it for `meshproof run`; empty in logs of earlier versions.
    pub again: Vec<String>,
}

/// The result of a scenario. Before [`Model::settle`], `verdict` may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndReport {
    pub verdict: Option<Verdict>,
    pub cause: String,
    /// Class of an ERROR.
    pub class: Option<ErrorClass>,
    pub wall_ms: u64,
    pub min_ms: u64,
    pub samples: BTreeMap<String, u64>,
    pub known: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepReport {
    pub step: StepNumber,
    pub what: String,
    pub ms: Option<u64>,
    pub error: Option<String>,
    /// Class of the error.
    pub class: Option<ErrorClass>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CheckReport {
    pub step: StepNumber,
    pub check: Check,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceReport {
    pub file: String,
    pub caption: String,
}

/// Number of scenarios by verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VerdictCounts {
    pub pass: usize,
    pub fail: usize,
    pub error: usize,
    pub skip: usize,
    pub known: usize,
    pub unexpected: usize,
}

impl VerdictCounts {
    pub fn add(&mut self, verdict: Verdict) {
        *match verdict {
            Verdict::Pass => &mut self.pass,
            Verdict::Fail => &mut self.fail,
            Verdict::Error => &mut self.error,
            Verdict::Skip => &mut self.skip,
            Verdict::KnownFailure => &mut self.known,
            Verdict::UnexpectedPass => &mut self.unexpected,
        } += 1;
    }

    pub fn total(&self) -> usize {
        self.pass + self.fail + self.error + self.skip + self.known + self.unexpected
    }
}

impl ScenarioReport {
    /// Unique in a report: the id, and `~N` for the N-th attempt.
    pub fn anchor(&self) -> String {
        run_name(&self.id, self.attempt)
    }

    /// The verdict; a scenario without one could not be judged.
    pub fn verdict(&self) -> Verdict {
        self.end.verdict.unwrap_or(Verdict::Error)
    }

    /// Folder of the evidence, relative to the report directory.
    pub fn evidence_dir(&self) -> String {
        format!("evidence/{}", self.anchor())
    }

    /// Paths of the evidence, relative to the report directory.
    pub fn evidence_paths(&self) -> impl Iterator<Item = String> + '_ {
        self.evidence
            .iter()
            .map(|evidence| format!("{}/{}", self.evidence_dir(), evidence.file))
    }

    /// The record of its next attempt: the plan is copied, the results are not.
    fn again(&self) -> Self {
        Self {
            id: self.id.clone(),
            attempt: self.attempt.saturating_add(1),
            plan: self.plan.clone(),
            ..Self::default()
        }
    }
}

impl EndReport {
    fn of(end: &ScenarioEnd) -> Self {
        Self {
            verdict: Some(end.verdict),
            cause: end.cause.clone(),
            class: end.class,
            wall_ms: end.wall_ms,
            min_ms: end.min_ms,
            samples: end.samples.clone(),
            known: end.known.clone(),
        }
    }
}

/// Returns whether a verdict needs attention.
pub fn is_unexpected(verdict: Verdict) -> bool {
    matches!(
        verdict,
        Verdict::Fail | Verdict::Error | Verdict::UnexpectedPass
    )
}

impl Model {
    /// Folds all events and settles what did not end.
    pub fn from_events<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut model = Self::default();
        for event in events {
            model.apply(event);
        }
        model.settle();
        model
    }

    /// Folds one event.
    pub fn apply(&mut self, event: &Event) {
        self.wall_ms = self.wall_ms.max(event.at_ms);
        match &event.kind {
            EventKind::RunStarted(info) => self.run = (**info).clone(),
            EventKind::TargetReady {
                versions,
                capabilities,
                lacks,
            } => {
                self.ready = true;
                self.versions.extend(versions.clone());
                self.capabilities.clone_from(capabilities);
                self.lacks.clone_from(lacks);
            }
            EventKind::PhaseStarted { phase } => self.begin_phase(phase),
            EventKind::PhaseEnded { phase, ms, error } => {
                self.end_phase(phase, *ms, error.as_deref())
            }
            EventKind::Note { text } => self.notes.push(text.clone()),
            EventKind::Interrupted { signal } => self.interrupted = Some(signal.clone()),
            EventKind::RunEnded { wall_ms } => {
                self.wall_ms = *wall_ms;
                self.complete = true;
            }
            of_scenario => self.apply_to_scenario(of_scenario),
        }
    }

    fn apply_to_scenario(&mut self, kind: &EventKind) {
        match kind {
            EventKind::ScenarioPlanned {
                id,
                attempt,
                title,
                area,
                proves,
                level,
                file,
                again,
            } => {
                self.begun(id, *attempt).plan = PlanReport {
                    title: title.clone(),
                    area: area.clone(),
                    proves: proves.clone(),
                    level: *level,
                    file: file.clone(),
                    again: again.clone(),
                };
            }
            EventKind::ScenarioStarted { id, attempt } => self.begun(id, *attempt).started = true,
            EventKind::StepStarted { .. } | EventKind::StepEnded { .. } => self.apply_to_step(kind),
            EventKind::Evidence {
                id,
                attempt,
                file,
                caption,
            } => {
                let evidence = EvidenceReport {
                    file: file.clone(),
                    caption: caption.clone(),
                };
                self.at(id, *attempt).evidence.push(evidence);
            }
            EventKind::Checked {
                id,
                attempt,
                step,
                check,
            } => {
                self.at(id, *attempt).checks.push(CheckReport {
                    step: *step,
                    check: (**check).clone(),
                });
            }
            EventKind::ScenarioEnded(end) => {
                self.at(&end.id, end.attempt).end = EndReport::of(end);
            }
            _ => {}
        }
    }

    fn apply_to_step(&mut self, kind: &EventKind) {
        match kind {
            EventKind::StepStarted {
                id,
                attempt,
                step,
                what,
            } => {
                let started = StepReport {
                    step: *step,
                    what: what.clone(),
                    ms: None,
                    error: None,
                    class: None,
                };
                self.at(id, *attempt).steps.push(started);
            }
            EventKind::StepEnded {
                id,
                attempt,
                step,
                ms,
                error,
                class,
            } => {
                let steps = &mut self.at(id, *attempt).steps;
                if let Some(open) = steps
                    .iter_mut()
                    .rev()
                    .find(|s| s.step == *step && s.ms.is_none())
                {
                    open.ms = Some(*ms);
                    open.error.clone_from(error);
                    open.class = *class;
                }
            }
            _ => {}
        }
    }

    fn begin_phase(&mut self, name: &str) {
        let part = match (name, self.ready) {
            (TEAR_DOWN, _) => Part::TearDown,
            (_, true) => Part::Run,
            (_, false) => Part::BringUp,
        };
        self.phases.push(BringUpPhase {
            name: name.to_owned(),
            ms: None,
            error: None,
            part,
        });
    }

    /// A phase that fails without a start event is a failed phase all the same.
    fn end_phase(&mut self, name: &str, ms: u64, error: Option<&str>) {
        let open = self
            .phases
            .iter()
            .rposition(|p| p.name == name && p.ms.is_none());
        let index = open.unwrap_or_else(|| {
            self.begin_phase(name);
            self.phases.len() - 1
        });
        self.phases[index].ms = Some(ms);
        self.phases[index].error = error.map(str::to_owned);
    }

    /// The record of this attempt of a scenario; without a number, the newest one.
    fn at(&mut self, id: &str, attempt: u32) -> &mut ScenarioReport {
        if attempt == 0 {
            return self.latest(id);
        }
        let is_it = |s: &ScenarioReport| s.id == id && s.attempt == attempt;
        let index = self.scenarios.iter().position(is_it).unwrap_or_else(|| {
            self.scenarios.push(ScenarioReport {
                id: id.to_owned(),
                attempt,
                ..Default::default()
            });
            self.scenarios.len() - 1
        });
        &mut self.scenarios[index]
    }

    /// The record of this attempt of a scenario, as filled by [`Self::apply`]; without a number,
    /// the newest one.
    pub fn find(&self, id: &str, attempt: u32) -> Option<&ScenarioReport> {
        let is_it = |s: &&ScenarioReport| s.id == id && (attempt == 0 || s.attempt == attempt);
        self.scenarios.iter().rev().find(is_it)
    }

    /// The record of an attempt that starts. Logs from before attempts were numbered start a new
    /// one when the last one has ended.
    fn begun(&mut self, id: &str, attempt: u32) -> &mut ScenarioReport {
        match attempt {
            0 => self.open(id),
            attempt => self.at(id, attempt),
        }
    }

    /// The newest record of this id.
    fn latest(&mut self, id: &str) -> &mut ScenarioReport {
        match self.scenarios.iter().rposition(|s| s.id == id) {
            Some(index) => &mut self.scenarios[index],
            None => self.at(id, 1),
        }
    }

    /// The newest record of this id that has not ended. A verdict is never overwritten: starting
    /// again creates a new record.
    fn open(&mut self, id: &str) -> &mut ScenarioReport {
        let last = self.latest(id);
        if last.end.verdict.is_none() {
            return self.latest(id);
        }
        let again = last.again();
        self.scenarios.push(again);
        self.latest(id)
    }

    /// Gives every scenario without a verdict one: ERROR if it was started, otherwise SKIP.
    pub fn settle(&mut self) {
        let why = match (&self.interrupted, self.complete) {
            (Some(signal), _) => format!("the run was stopped by {signal}"),
            (None, true) => "the run ended before its verdict".to_owned(),
            (None, false) => "the event log ends here".to_owned(),
        };
        for scenario in self
            .scenarios
            .iter_mut()
            .filter(|s| s.end.verdict.is_none())
        {
            let (verdict, what) = match scenario.started {
                true => (Verdict::Error, "no verdict"),
                false => (Verdict::Skip, "not started"),
            };
            scenario.end.verdict = Some(verdict);
            scenario.end.cause = format!("{what}: {why}");
        }
    }

    /// Number of scenarios by verdict. A failure outside scenarios also counts as an error.
    pub fn counts(&self) -> VerdictCounts {
        let mut counts = VerdictCounts::default();
        let scenarios = self.scenarios.iter().map(ScenarioReport::verdict);
        scenarios.for_each(|verdict| counts.add(verdict));
        self.failures()
            .iter()
            .for_each(|_| counts.add(Verdict::Error));
        counts
    }

    /// Number of ERRORs by class; those without a class are not counted.
    pub fn error_classes(&self) -> BTreeMap<ErrorClass, usize> {
        let mut classes = BTreeMap::new();
        for class in self.scenarios.iter().filter_map(|one| one.end.class) {
            *classes.entry(class).or_default() += 1;
        }
        classes
    }

    /// Scenarios that need attention, in order.
    pub fn unexpected(&self) -> impl Iterator<Item = &ScenarioReport> {
        self.scenarios
            .iter()
            .filter(|scenario| is_unexpected(scenario.verdict()))
    }

    /// Failures outside scenarios, one for each part of the run. A phase that fails makes its
    /// enclosing phases fail: the failure names the phase that failed first, with the most
    /// detailed text.
    pub fn failures(&self) -> Vec<Failure> {
        let mut failures: Vec<Failure> = Vec::new();
        for phase in &self.phases {
            let Some(error) = &phase.error else { continue };
            let around = phase.name == Part::BringUp.name();
            let same = |known: &&mut Failure| {
                known.part == phase.part || (around && error.contains(&known.error))
            };
            match failures.iter_mut().find(same) {
                Some(known) if error.contains(&known.error) => known.error.clone_from(error),
                Some(_) => {}
                None => failures.push(Failure {
                    part: phase.part,
                    phase: Some(phase.name.clone())
                        .filter(|name| !around && name != phase.part.name()),
                    ms: phase.ms,
                    error: error.clone(),
                }),
            }
        }
        failures.extend(self.unwritten.iter().map(|error| Failure {
            part: Part::Reports,
            phase: None,
            ms: None,
            error: error.clone(),
        }));
        failures
    }

    /// Exit code of the run. A violated claim takes precedence over one that could not be judged.
    pub fn exit(&self) -> Exit {
        let counts = self.counts();
        match &self.interrupted {
            Some(signal) if signal.ends_with("TERM") => return Exit::TERMINATED,
            Some(signal) if signal.ends_with("HUP") => return Exit::HANGUP,
            Some(_) => return Exit::INTERRUPTED,
            None => {}
        }
        if counts.fail + counts.unexpected > 0 {
            Exit::Failed
        } else if counts.error > 0 || !self.complete {
            Exit::Error
        } else if counts.total() == 0 {
            Exit::NothingSelected
        } else {
            Exit::Ok
        }
    }

    /// Command that runs one scenario of this run again. For logs from before arguments were
    /// recorded, it has the scenario and the seed.
    pub fn reproduce(&self, scenario: &ScenarioReport) -> String {
        let mut args = vec!["meshproof".to_owned(), "run".to_owned()];
        if scenario.plan.again.is_empty() {
            args.push(shell_word(&scenario.id));
        }
        args.extend(scenario.plan.again.iter().map(shell_word));
        match self.run.again.is_empty() {
            true => args.push(format!("--seed {}", self.run.seed)),
            false => args.extend(self.run.again.iter().cloned()),
        }
        args.join(" ")
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
