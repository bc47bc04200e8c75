//! Events folded into what reports show. Pure: the same events give the same model.

use std::collections::BTreeMap;

use crate::exit::Exit;
use crate::run::event::{Event, Kind, RunInfo, ScenarioEnd};
use crate::scenario::model::Level;
use crate::scenario::parse::run_name;
use crate::verdict::outcome::{Check, Verdict};

/// A run as far as its events tell.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Model {
    pub run: RunInfo,
    pub versions: BTreeMap<String, String>,
    pub capabilities: Vec<String>,
    pub lacks: Vec<String>,
    pub phases: Vec<Phase>,
    /// In the order in which they were planned.
    pub scenarios: Vec<ScenarioReport>,
    pub notes: Vec<String>,
    /// Signal that stopped the run.
    pub interrupted: Option<String>,
    /// The run ended by itself: its last event is there.
    pub complete: bool,
    pub wall_ms: u64,
}

/// A part of bringing up target or mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase {
    pub name: String,
    /// `None`: it did not end.
    pub ms: Option<u64>,
    pub error: Option<String>,
}

/// One scenario. Before [`Model::settle`], `verdict` may be missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScenarioReport {
    pub id: String,
    /// From 2 when the same scenario was started again (`--repeat`).
    pub attempt: u32,
    pub title: String,
    pub area: String,
    pub proves: Vec<String>,
    pub level: Level,
    pub file: String,
    pub started: bool,
    pub verdict: Option<Verdict>,
    pub cause: String,
    pub wall_ms: u64,
    pub floor_ms: u64,
    pub samples: BTreeMap<String, u64>,
    pub known: Option<String>,
    pub steps: Vec<StepReport>,
    pub checks: Vec<CheckReport>,
    pub evidence: Vec<EvidenceReport>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepReport {
    pub step: usize,
    pub what: String,
    pub ms: Option<u64>,
    pub error: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CheckReport {
    pub step: usize,
    pub check: Check,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceReport {
    pub file: String,
    pub caption: String,
}

/// How many of each verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub pass: usize,
    pub fail: usize,
    pub error: usize,
    pub skip: usize,
    pub known: usize,
    pub unexpected: usize,
}

impl Counts {
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

    /// The verdict; a scenario without one could not be told.
    pub fn verdict(&self) -> Verdict {
        self.verdict.unwrap_or(Verdict::Error)
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

    fn end(&mut self, end: &ScenarioEnd) {
        self.verdict = Some(end.verdict);
        self.cause.clone_from(&end.cause);
        self.wall_ms = end.wall_ms;
        self.floor_ms = end.floor_ms;
        self.samples.clone_from(&end.samples);
        self.known.clone_from(&end.known);
    }
}

/// True for what a person has to look at.
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
            Kind::RunStarted(info) => self.run = (**info).clone(),
            Kind::TargetReady {
                versions,
                capabilities,
                lacks,
            } => {
                self.versions.extend(versions.clone());
                self.capabilities.clone_from(capabilities);
                self.lacks.clone_from(lacks);
            }
            Kind::PhaseStarted { phase } => self.phases.push(Phase {
                name: phase.clone(),
                ms: None,
                error: None,
            }),
            Kind::PhaseEnded { phase, ms, error } => self.end_phase(phase, *ms, error.as_deref()),
            Kind::Note { text } => self.notes.push(text.clone()),
            Kind::Interrupted { signal } => self.interrupted = Some(signal.clone()),
            Kind::RunEnded { wall_ms } => {
                self.wall_ms = *wall_ms;
                self.complete = true;
            }
            of_scenario => self.apply_to_scenario(of_scenario),
        }
    }

    fn apply_to_scenario(&mut self, kind: &Kind) {
        match kind {
            Kind::ScenarioPlanned {
                id,
                attempt,
                title,
                area,
                proves,
                level,
                file,
            } => {
                let record = self.begun(id, *attempt);
                record.title.clone_from(title);
                record.area.clone_from(area);
                record.proves.clone_from(proves);
                record.level = *level;
                record.file.clone_from(file);
            }
            Kind::ScenarioStarted { id, attempt } => self.begun(id, *attempt).started = true,
            Kind::StepStarted {
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
                };
                self.at(id, *attempt).steps.push(started);
            }
            Kind::StepEnded {
                id,
                attempt,
                step,
                ms,
                error,
            } => {
                let steps = &mut self.at(id, *attempt).steps;
                if let Some(open) = steps
                    .iter_mut()
                    .rev()
                    .find(|s| s.step == *step && s.ms.is_none())
                {
                    open.ms = Some(*ms);
                    open.error.clone_from(error);
                }
            }
            Kind::Evidence {
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
            Kind::Checked {
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
            Kind::ScenarioEnded(end) => self.at(&end.id, end.attempt).end(end),
            _ => {}
        }
    }

    /// A phase that fails before it was told to begin is a failed phase all the same.
    fn end_phase(&mut self, name: &str, ms: u64, error: Option<&str>) {
        let open = self
            .phases
            .iter()
            .rposition(|p| p.name == name && p.ms.is_none());
        let index = open.unwrap_or_else(|| {
            self.phases.push(Phase {
                name: name.to_owned(),
                ms: None,
                error: None,
            });
            self.phases.len() - 1
        });
        self.phases[index].ms = Some(ms);
        self.phases[index].error = error.map(str::to_owned);
    }

    /// The record of this run of a scenario; without a number the newest one.
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

    /// The record of a run that begins. Logs of before runs had numbers begin a new one when the last has ended.
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

    /// The newest record of this id that has not ended. A verdict is never overwritten: starting again opens a new record.
    fn open(&mut self, id: &str) -> &mut ScenarioReport {
        let last = self.latest(id);
        if last.verdict.is_none() {
            return self.latest(id);
        }
        let again = ScenarioReport {
            id: last.id.clone(),
            attempt: last.attempt + 1,
            title: last.title.clone(),
            area: last.area.clone(),
            proves: last.proves.clone(),
            file: last.file.clone(),
            ..Default::default()
        };
        self.scenarios.push(again);
        self.latest(id)
    }

    /// Gives every scenario without a verdict the one it has: begun is ERROR, never begun is SKIP.
    pub fn settle(&mut self) {
        let why = match (&self.interrupted, self.complete) {
            (Some(signal), _) => format!("the run was stopped by {signal}"),
            (None, true) => "the run ended without it".to_owned(),
            (None, false) => "the event log ends here".to_owned(),
        };
        for scenario in self.scenarios.iter_mut().filter(|s| s.verdict.is_none()) {
            let (verdict, what) = match scenario.started {
                true => (Verdict::Error, "no verdict"),
                false => (Verdict::Skip, "not started"),
            };
            scenario.verdict = Some(verdict);
            scenario.cause = format!("{what}: {why}");
        }
    }

    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.scenarios
            .iter()
            .for_each(|scenario| counts.add(scenario.verdict()));
        counts
    }

    /// Scenarios that a person has to look at, in order.
    pub fn unexpected(&self) -> impl Iterator<Item = &ScenarioReport> {
        self.scenarios
            .iter()
            .filter(|scenario| is_unexpected(scenario.verdict()))
    }

    /// The first phase that failed.
    pub fn failed_phase(&self) -> Option<(&str, &str)> {
        self.phases
            .iter()
            .find_map(|phase| Some((phase.name.as_str(), phase.error.as_deref()?)))
    }

    /// Exit code of the run. A violated claim outweighs one that could not be told.
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
        } else if counts.error > 0 || self.failed_phase().is_some() || !self.complete {
            Exit::Error
        } else if counts.total() == 0 {
            Exit::NothingSelected
        } else {
            Exit::Ok
        }
    }

    /// Command that runs one scenario of this run again.
    pub fn reproduce(&self, scenario: &ScenarioReport) -> String {
        let what = if scenario.file.starts_with("suites/") || scenario.file.is_empty() {
            &scenario.id
        } else {
            &scenario.file
        };
        let mut words = vec![
            "meshproof".to_owned(),
            "run".to_owned(),
            super::text::shell_word(what),
        ];
        words.extend(carried_flags(&self.run.args));
        words.push(format!("--seed {}", self.run.seed));
        words.join(" ")
    }
}

/// Flags of the run's arguments that change what a single scenario does.
fn carried_flags(args: &[String]) -> Vec<String> {
    const CARRIED: [&str; 9] = [
        "--target",
        "--context",
        "--name",
        "--envoy",
        "--istio",
        "--image",
        "--alpha",
        "--beta",
        "--mutate",
    ];
    let mut found = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let (flag, value) = match arg.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (arg.as_str(), None),
        };
        if !CARRIED.contains(&flag) {
            continue;
        }
        if let Some(value) = value.or_else(|| args.next().cloned()) {
            found.push(format!("{flag} {}", super::text::shell_word(&value)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(kinds: Vec<Kind>) -> Model {
        let events: Vec<_> = kinds
            .into_iter()
            .map(|kind| Event { at_ms: 1, kind })
            .collect();
        Model::from_events(&events)
    }

    #[test]
    fn a_failure_without_a_beginning_is_still_an_error() {
        let failed = Kind::PhaseEnded {
            phase: "bring-up".into(),
            ms: 3,
            error: Some("no kernel".into()),
        };
        let model = model(vec![failed, Kind::RunEnded { wall_ms: 4 }]);
        assert_eq!(
            (model.failed_phase(), model.exit()),
            (Some(("bring-up", "no kernel")), Exit::Error)
        );
    }

    #[test]
    fn a_run_that_stops_without_an_end_is_never_a_success() {
        assert_eq!(model(vec![]).exit(), Exit::Error);
        assert_eq!(
            model(vec![Kind::Interrupted {
                signal: "SIGTERM".into()
            }])
            .exit(),
            Exit::TERMINATED
        );
    }
}
