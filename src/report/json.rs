//! `report.json`. Field names are a contract: add fields, never rename them; increment `schema` if
//! a meaning changes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::model::{CheckReport, Model, ScenarioReport};
use crate::errors::ErrorClass;
use crate::scenario::StepNumber;
use crate::seed::Seed;
use crate::verdict::outcome::{CheckResult, Verdict};

/// Schema version of this document.
pub const SCHEMA: u32 = 2;

#[derive(Debug, Serialize)]
pub struct JsonReport<'a> {
    pub schema: u32,
    pub run: Run<'a>,
    pub summary: Summary,
    pub scenarios: Vec<Scenario<'a>>,
}

#[derive(Debug, Serialize)]
pub struct Run<'a> {
    pub id: &'a str,
    pub meshproof: &'a str,
    pub started: &'a str,
    pub target: &'a str,
    pub mesh: &'a str,
    pub profile: &'a str,
    pub versions: &'a BTreeMap<String, String>,
    pub capabilities: &'a [String],
    /// Features that this profile lacks.
    pub lacks: &'a [String],
    pub seed: Seed,
    pub jobs: usize,
    pub alpha: f64,
    pub beta: f64,
    pub args: &'a [String],
    pub reproduce: &'a str,
    pub phases: Vec<PhaseEntry<'a>>,
    /// Failures outside scenarios; each counts as an error.
    pub failures: Vec<FailureEntry<'a>>,
    pub notes: &'a [String],
    /// Signal that stopped the run, else null.
    pub interrupted: Option<&'a str>,
    /// The run ended by itself.
    pub complete: bool,
}

#[derive(Debug, Serialize)]
pub struct PhaseEntry<'a> {
    pub name: &'a str,
    pub ms: Option<u64>,
    pub error: Option<&'a str>,
}

#[derive(Debug, Serialize)]
pub struct FailureEntry<'a> {
    /// `bring-up`, `run` or `tear-down`.
    pub part: &'a str,
    /// Phase in which it failed, else null.
    pub phase: Option<String>,
    pub error: String,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub pass: usize,
    pub fail: usize,
    pub error: usize,
    pub skip: usize,
    pub known: usize,
    pub unexpected: usize,
    /// Numbers of scenarios with ERROR by class: `mesh`, `harness`, `machine`, `input`.
    pub error_classes: BTreeMap<&'static str, usize>,
    pub wall_ms: u64,
}

#[derive(Debug, Serialize)]
pub struct Scenario<'a> {
    pub id: &'a str,
    pub title: &'a str,
    pub area: &'a str,
    pub file: &'a str,
    pub verdict: Verdict,
    pub cause: &'a str,
    /// Class of an ERROR, else null.
    pub class: Option<ErrorClass>,
    pub wall_ms: u64,
    pub min_ms: u64,
    pub proves: &'a [String],
    pub samples: &'a BTreeMap<String, u64>,
    /// Paths relative to the report directory.
    pub evidence: Vec<String>,
    /// 2 or more for repeats of the same scenario.
    pub attempt: u32,
    /// Link of the known-failure entry that applies, else null.
    pub known: Option<&'a str>,
    pub reproduce: String,
    pub checks: Vec<CheckEntry<'a>>,
}

#[derive(Debug, Serialize)]
pub struct CheckEntry<'a> {
    pub step: StepNumber,
    pub probe: &'a str,
    pub matcher: &'a str,
    pub expected: &'a str,
    pub actual: &'a str,
    pub result: CheckResult,
    pub contrast: bool,
    pub samples: u64,
    pub method: &'a str,
}

/// The document of a settled model.
pub fn document(model: &Model) -> JsonReport<'_> {
    let counts = model.counts();
    JsonReport {
        schema: SCHEMA,
        run: run(model),
        summary: Summary {
            pass: counts.pass,
            fail: counts.fail,
            error: counts.error,
            skip: counts.skip,
            known: counts.known,
            unexpected: counts.unexpected,
            error_classes: model
                .error_classes()
                .into_iter()
                .map(|(class, number)| (class.name(), number))
                .collect(),
            wall_ms: model.wall_ms,
        },
        scenarios: model
            .scenarios
            .iter()
            .map(|scenario| entry(model, scenario))
            .collect(),
    }
}

/// `report.json` as text.
pub fn render(model: &Model) -> String {
    let mut text = serde_json::to_string_pretty(&document(model)).expect("reports are plain data");
    text.push('\n');
    text
}

fn run(model: &Model) -> Run<'_> {
    let run = &model.run;
    Run {
        id: &run.run_id,
        meshproof: &run.meshproof,
        started: &run.started,
        target: &run.target,
        mesh: &run.mesh,
        profile: &run.profile,
        versions: &model.versions,
        capabilities: &model.capabilities,
        lacks: &model.lacks,
        seed: run.seed,
        jobs: run.jobs,
        alpha: run.alpha,
        beta: run.beta,
        args: &run.args,
        reproduce: &run.reproduce,
        phases: model
            .phases
            .iter()
            .map(|p| PhaseEntry {
                name: &p.name,
                ms: p.ms,
                error: p.error.as_deref(),
            })
            .collect(),
        failures: model
            .failures()
            .into_iter()
            .map(|failure| FailureEntry {
                part: failure.part.name(),
                phase: failure.phase,
                error: failure.error,
            })
            .collect(),
        notes: &model.notes,
        interrupted: model.interrupted.as_deref(),
        complete: model.complete,
    }
}

fn entry<'a>(model: &Model, scenario: &'a ScenarioReport) -> Scenario<'a> {
    Scenario {
        id: &scenario.id,
        title: &scenario.plan.title,
        area: &scenario.plan.area,
        file: &scenario.plan.file,
        verdict: scenario.verdict(),
        cause: &scenario.end.cause,
        class: scenario.end.class,
        wall_ms: scenario.end.wall_ms,
        min_ms: scenario.end.min_ms,
        proves: &scenario.plan.proves,
        samples: &scenario.end.samples,
        evidence: scenario.evidence_paths().collect(),
        attempt: scenario.attempt,
        known: scenario.end.known.as_deref(),
        reproduce: model.reproduce(scenario),
        checks: scenario.checks.iter().map(check).collect(),
    }
}

fn check(report: &CheckReport) -> CheckEntry<'_> {
    let check = &report.check;
    CheckEntry {
        step: report.step,
        probe: &check.probe,
        matcher: &check.matcher,
        expected: &check.expected,
        actual: &check.actual,
        result: check.result,
        contrast: check.contrast,
        samples: check.samples,
        method: &check.method,
    }
}
