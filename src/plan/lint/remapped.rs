//! Rules for `per-call` and for `remapped`, which compares two runs that use it.

use std::collections::BTreeMap;

use crate::{
    plan::resolve::of_case,
    scenario::{
        finding::{Finding, did_you_mean},
        loaded::LoadedScenario,
        model::{Probe, Scenario, Step},
    },
    verdict::{Rates, ResolvedExpect, matcher::remapped::Remapped},
};

type Findings = Vec<Finding>;

pub fn lint(loaded: &LoadedScenario, rates: Rates, findings: &mut Findings) {
    for (name, probe) in &loaded.scenario.probes {
        let path = format!("probes.{name}");
        per_call(loaded, &path, probe, findings);
        let rows: Vec<Probe> = probe.cases.iter().map(|row| of_case(probe, row)).collect();
        let runs = if rows.is_empty() {
            vec![probe.clone()]
        } else {
            rows
        };
        // Cases that differ in other fields have the same mistakes: report them once.
        let found = runs.iter().find_map(|run| {
            let expect = ResolvedExpect::resolve(&run.expect).ok()?;
            let found = moved(
                &loaded.scenario,
                name,
                run,
                expect.get::<Remapped>()?,
                rates,
            );
            (!found.is_empty()).then_some(found)
        });
        for (key, message, help) in found.unwrap_or_default() {
            findings.push(loaded.at(&format!("{path}.{key}"), message, help));
        }
    }
}

fn per_call(loaded: &LoadedScenario, path: &str, probe: &Probe, findings: &mut Findings) {
    for (key, count) in &probe.per_call {
        let at = format!("{path}.per-call.{key}");
        if *count == 0 {
            let help = "write the number of values to cycle through, e.g. 300";
            findings.push(loaded.at(&at, format!("'{key}' has no value at all"), help));
        }
        let rows = probe.cases.iter().map(|row| &row.with.metadata);
        let mut fixed = rows.flatten().chain([&probe.metadata]);
        if fixed.any(|metadata| metadata.contains_key(key)) {
            let message = format!("'{key}' is both in 'metadata' and in 'per-call'");
            let help = "a call carries one value per key: keep one of the two";
            findings.push(loaded.at(&at, message, help));
        }
    }
}

/// Key under the probe, message, help.
type Wrong = (String, String, String);

fn moved(
    scenario: &Scenario,
    name: &str,
    probe: &Probe,
    moved: &Remapped,
    rates: Rates,
) -> Vec<Wrong> {
    let wrong = |key: &str, message: String, help: String| vec![(key.to_owned(), message, help)];
    let (key, since) = (&moved.key, &moved.since);
    let Some(keys) = probe.per_call.get(key).copied() else {
        let message = format!("'remapped' compares '{key}', which is not in 'per-call'");
        let help = format!("add `per-call: {{{key}: 300}}` to this probe and to '{since}'");
        return wrong("expect.remapped.key", message, help);
    };
    let Some(before) = scenario.probes.get(since) else {
        let known: Vec<&str> = scenario.probes.keys().map(String::as_str).collect();
        let message = format!("no probe is named '{since}'");
        return wrong(
            "expect.remapped.since",
            message,
            did_you_mean(since, &known),
        );
    };
    if before.per_call.get(key) != Some(&keys) || !before.cases.is_empty() {
        let message = format!("'{since}' does not send the same {keys} values of '{key}'");
        let help = format!("give it `per-call: {{{key}: {keys}}}` and no `cases`");
        return wrong("expect.remapped.since", message, help);
    }
    if probe.times.is_some_and(|times| times < keys) {
        let message = format!("fewer calls than the {keys} values of '{key}'");
        let help = "drop `times`: each value is sent once".to_owned();
        return wrong("times", message, help);
    }
    let pairs = ends(scenario, since, name);
    if pairs.iter().any(|(then, _)| then.is_none()) {
        let message = format!("'{since}' does not run before '{name}'");
        let help = format!("add a step `probe: {since}` before it");
        return wrong("expect.remapped.since", message, help);
    }
    let at = |step| pods_at(scenario, step, &probe.to);
    let sizes = pairs
        .iter()
        .filter_map(|(then, now)| Some((at((*then)?), at(*now))));
    // Behind a gateway or an external host, the pods are known only at run time.
    let known = sizes.filter(|(then, now)| *then > 0 && *now > 0);
    let found = known.filter_map(|(then, now)| undecided(moved, keys, then, now, rates));
    found.take(1).collect()
}

/// Too few keys, or a bound that no number of keys can decide.
fn undecided(moved: &Remapped, keys: u64, then: u64, now: u64, rates: Rates) -> Option<Wrong> {
    let errors = moved.errors(keys, then, now);
    if errors.alpha <= rates.alpha && errors.beta <= rates.beta {
        return None;
    }
    let key = &moved.key;
    Some(match moved.keys_needed(then, now, rates) {
        Some(needed) => (
            "per-call".to_owned(),
            format!("{keys} values of '{key}' are too few for a change from {then} to {now} pods"),
            format!("send {} or more in both probes ({rates})", needed.max(keys + 1)),
        ),
        None => (
            "expect.remapped.at-most".to_owned(),
            format!("no number of keys decides this bound for a change from {then} to {now} pods"),
            "set `at-most` and `at-least` around the share that a ring of 1024 points remaps, and below the share that a random choice per call remaps; see docs/scenario-format.md for both".to_owned(),
        ),
    })
}

/// Each step that runs `name`, with the last step before it that runs `since`.
fn ends(scenario: &Scenario, since: &str, name: &str) -> Vec<(Option<usize>, usize)> {
    let runs = |step: &Step, probe: &str| match step {
        Step::Probe(_) | Step::Converge(_) | Step::Contrast(_) => {
            step.runs().iter().any(|run| run.probe == probe)
        }
        _ => false,
    };
    let steps = &scenario.steps;
    let uses = (0..steps.len()).filter(|at| runs(&steps[*at], name));
    uses.map(|now| {
        let then = steps[..now].iter().rposition(|step| runs(step, since));
        (then, now)
    })
    .collect()
}

/// Pods behind the first label of `to` when the step runs; 0 when no workload has that name.
fn pods_at(scenario: &Scenario, step: usize, to: &str) -> u64 {
    let host = to.split([':', '.']).next().unwrap_or_default();
    let mut replicas: BTreeMap<&str, u32> = scenario
        .workloads
        .iter()
        .map(|workload| (workload.name.as_str(), workload.pods()))
        .collect();
    for step in &scenario.steps[..step] {
        if let Step::Scale(scale) = step {
            replicas.insert(&scale.workload, scale.replicas);
        }
    }
    let behind = scenario.workloads.iter().filter(|workload| {
        let app = workload.app.as_deref().unwrap_or(&workload.name);
        app == host
    });
    behind
        .filter_map(|workload| replicas.get(workload.name.as_str()))
        .map(|count| u64::from(*count))
        .sum()
}
