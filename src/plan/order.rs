//! Pure: scenarios × settings × capabilities → an ordered plan. `--dry-run` prints it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde_json::{Value, json};

use super::{
    isolation::{Isolation, isolation},
    resolve::{ResolveError, ResolvedProbe, resolve_run},
    sequence::sequence,
};
use crate::{
    scenario::{
        loaded::LoadedScenario,
        model::{Scenario, Step},
        reach,
    },
    seed::Seed,
    verdict::Rates,
};

/// Options that the plan depends on besides the scenarios.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlanOptions {
    pub rates: Rates,
    pub seed: Seed,
    pub jobs: usize,
    /// Whether scenarios with the same workloads follow one another.
    pub alike: bool,
}

/// Scenarios in the order in which they start.
#[derive(Debug)]
pub struct Plan {
    pub options: PlanOptions,
    pub entries: Vec<PlanEntry>,
}

/// One scenario.
#[derive(Debug)]
pub struct PlanEntry {
    pub loaded: LoadedScenario,
    pub action: PlanAction,
    /// Why nothing else may run beside it, if so.
    pub serial: Option<String>,
    /// What it shares with others, one after the other.
    pub isolation: Isolation,
}

/// Whether it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanAction {
    Run,
    /// With the reason, for the report.
    Skip(String),
}

/// Orders the scenarios by the seed and decides which of them run. `capabilities` is `None` before
/// a target is up; then nothing is skipped.
pub fn plan(
    scenarios: Vec<LoadedScenario>,
    options: PlanOptions,
    capabilities: Option<&BTreeSet<String>>,
) -> Plan {
    let mut scenarios = scenarios;
    sequence(&mut scenarios, options.seed.number(), options.alike);
    number(&mut scenarios);
    let entries = scenarios.into_iter().map(|loaded| PlanEntry {
        action: action(&loaded.scenario, capabilities),
        serial: reach::serial(&loaded),
        isolation: isolation(&loaded),
        loaded,
    });
    Plan {
        options,
        entries: entries.collect(),
    }
}

/// Numbers the runs of a scenario that runs several times.
fn number(scenarios: &mut [LoadedScenario]) {
    let mut runs: BTreeMap<String, u32> = BTreeMap::new();
    for scenario in scenarios.iter() {
        *runs.entry(scenario.id.clone()).or_default() += 1;
    }
    runs.retain(|_, runs| *runs > 1);
    for scenario in scenarios.iter_mut().rev() {
        if let Some(left) = runs.get_mut(&scenario.id) {
            scenario.attempt = *left;
            *left -= 1;
        }
    }
}

/// Skips a scenario that needs missing capabilities; the reason names them.
pub fn action(scenario: &Scenario, capabilities: Option<&BTreeSet<String>>) -> PlanAction {
    let Some(offered) = capabilities else {
        return PlanAction::Run;
    };
    let missing: Vec<&str> = scenario
        .needs
        .iter()
        .filter(|need| !offered.contains(*need))
        .map(String::as_str)
        .collect();
    match missing.as_slice() {
        [] => PlanAction::Run,
        parts => PlanAction::Skip(format!("missing capabilities: {}", parts.join(", "))),
    }
}

/// The probe runs of one step; empty for steps without calls.
///
/// # Errors
/// See [`ResolveError`]; none for a scenario that passes lint.
pub fn step_probes(
    scenario: &Scenario,
    step: &Step,
    rates: Rates,
) -> Result<Vec<ResolvedProbe>, ResolveError> {
    let runs = step.runs().into_iter();
    let resolved = runs.map(|run| resolve_run(scenario, run, rates));
    Ok(resolved.collect::<Result<Vec<_>, _>>()?.concat())
}

impl Plan {
    /// For `--dry-run -o json`.
    ///
    /// # Errors
    /// See [`ResolveError`].
    pub fn to_json(&self) -> Result<Value, ResolveError> {
        let PlanOptions {
            rates, seed, jobs, ..
        } = self.options;
        let entries: Result<Vec<Value>, _> = self
            .entries
            .iter()
            .map(|entry| entry.to_json(rates))
            .collect();
        Ok(json!({
            "seed": seed,
            "jobs": jobs,
            "alpha": rates.alpha,
            "beta": rates.beta,
            "scenarios": entries?,
        }))
    }

    /// For `--dry-run`: one paragraph per scenario, with every case.
    ///
    /// # Errors
    /// See [`ResolveError`].
    pub fn to_text(&self) -> Result<String, ResolveError> {
        let PlanOptions {
            rates, seed, jobs, ..
        } = self.options;
        let mut text = format!(
            "{} scenarios, seed {seed}, jobs {jobs}, {rates}\n",
            self.entries.len()
        );
        for entry in &self.entries {
            entry.write_text(&mut text, rates)?;
        }
        Ok(text)
    }
}

impl PlanEntry {
    fn to_json(&self, rates: Rates) -> Result<Value, ResolveError> {
        let scenario = &self.loaded.scenario;
        let mut steps = Vec::new();
        for (number, step) in scenario.numbered_steps() {
            let runs = step_probes(scenario, step, rates)?;
            let runs: Vec<Value> = runs.iter().map(run_json).collect();
            steps.push(json!({"number": number, "step": step.describe(), "runs": runs}));
        }
        let (action, reason) = match &self.action {
            PlanAction::Run => ("run", Value::Null),
            PlanAction::Skip(reason) => ("skip", reason.as_str().into()),
        };
        Ok(json!({
            "id": self.loaded.id,
            "title": scenario.title,
            "area": self.loaded.area,
            "proves": scenario.proves,
            "action": action,
            "reason": reason,
            "serial": self.serial,
            "private": self.isolation.private,
            "own_pods": self.isolation.own,
            "steps": steps,
        }))
    }

    fn write_text(&self, text: &mut String, rates: Rates) -> Result<(), ResolveError> {
        let scenario = &self.loaded.scenario;
        let action = match &self.action {
            PlanAction::Run => "run ".to_owned(),
            PlanAction::Skip(reason) => format!("skip ({reason}) "),
        };
        let _ = writeln!(text, "\n{action}{}: {}", self.loaded.id, scenario.title);
        if let Some(reason) = &self.serial {
            let _ = writeln!(text, "  serial: {reason}");
        }
        for (number, step) in scenario.numbered_steps() {
            let _ = writeln!(text, "  {number}. {}", step.describe());
            for run in step_probes(scenario, step, rates)? {
                let _ = writeln!(text, "       {}", run_words(&run));
            }
        }
        Ok(())
    }
}

fn run_words(run: &ResolvedProbe) -> String {
    let most = if run.expect.is_statistical() {
        "at most "
    } else {
        ""
    };
    format!(
        "{}: {most}{} × {} from {} to {}: {}",
        run.name,
        run.load.times,
        run.request.call,
        run.request.from,
        run.request.to,
        run.expect
            .matchers
            .iter()
            .map(|matcher| format!("{} {}", matcher.name(), matcher.expected()))
            .collect::<Vec<_>>()
            .join("; ")
    )
}

fn run_json(run: &ResolvedProbe) -> Value {
    let expect = run.expect.matchers.iter();
    let expect = expect.map(|m| json!({"matcher": m.name(), "expected": m.expected()}));
    json!({
        "probe": run.name,
        "call": run.request.call,
        "from": run.request.from,
        "to": run.request.to,
        "times": run.load.times,
        "connections": run.load.connections,
        "sequential": run.expect.is_statistical(),
        "expect": expect.collect::<Vec<_>>(),
    })
}
