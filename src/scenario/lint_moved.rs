//! Rules of `per-call`, and of `moved`, which compares two runs with it.

use std::collections::BTreeMap;

use super::{
    finding::{Finding, did_you_mean},
    model::{Probe, Scenario, Step},
    parse::Loaded,
    resolve::of_cell,
};
use crate::verdict::{Rates, ResolvedExpect, moved::Moved};

type Findings = Vec<Finding>;

pub fn lint(loaded: &Loaded, rates: Rates, findings: &mut Findings) {
    for (name, probe) in &loaded.scenario.probes {
        let path = format!("probes.{name}");
        per_call(loaded, &path, probe, findings);
        let rows: Vec<Probe> = probe.vary.iter().map(|row| of_cell(probe, row)).collect();
        let runs = if rows.is_empty() {
            vec![probe.clone()]
        } else {
            rows
        };
        // Rows that differ in other things have the same mistakes: one is enough.
        let found = runs.iter().find_map(|run| {
            let expect = ResolvedExpect::resolve(&run.expect).ok()?;
            let found = moved(&loaded.scenario, name, run, expect.moved()?, rates);
            (!found.is_empty()).then_some(found)
        });
        for (key, message, help) in found.unwrap_or_default() {
            findings.push(loaded.at(&format!("{path}.{key}"), message, help));
        }
    }
}

fn per_call(loaded: &Loaded, path: &str, probe: &Probe, findings: &mut Findings) {
    for (key, count) in &probe.per_call {
        let at = format!("{path}.per-call.{key}");
        if *count == 0 {
            let help = "write how many values it takes in turn, e.g. 300";
            findings.push(loaded.at(&at, format!("'{key}' takes no value at all"), help));
        }
        let rows = probe.vary.iter().map(|row| &row.with.metadata);
        let mut fixed = rows.flatten().chain([&probe.metadata]);
        if fixed.any(|metadata| metadata.contains_key(key)) {
            let message = format!("'{key}' is in 'metadata' and in 'per-call'");
            let help = "a call carries one value of it: keep one of the two";
            findings.push(loaded.at(&at, message, help));
        }
        if probe.expect.sticky_by.as_ref() == Some(key) {
            let message = format!("'sticky-by' over '{key}', which changes with each call");
            let help = "send one value with `metadata`, or compare two runs with `moved`";
            let at = format!("{path}.expect.sticky-by");
            findings.push(loaded.at(&at, message, help));
        }
    }
}

/// Key under the probe, message, way out.
type Wrong = (String, String, String);

fn moved(
    scenario: &Scenario,
    name: &str,
    probe: &Probe,
    moved: &Moved,
    rates: Rates,
) -> Vec<Wrong> {
    let wrong = |key: &str, message: String, help: String| vec![(key.to_owned(), message, help)];
    let (key, since) = (&moved.key, &moved.since);
    let Some(keys) = probe.per_call.get(key).copied() else {
        let message = format!("'moved' over '{key}', which is not in 'per-call'");
        let help = format!("add `per-call: {{{key}: 300}}` to this probe and to '{since}'");
        return wrong("expect.moved.key", message, help);
    };
    let Some(before) = scenario.probes.get(since) else {
        let known: Vec<&str> = scenario.probes.keys().map(String::as_str).collect();
        let message = format!("no probe is named '{since}'");
        return wrong("expect.moved.since", message, did_you_mean(since, &known));
    };
    if before.per_call.get(key) != Some(&keys) || !before.vary.is_empty() {
        let message = format!("'{since}' does not send the same {keys} values of '{key}'");
        let help = format!("give it `per-call: {{{key}: {keys}}}` and no `vary`");
        return wrong("expect.moved.since", message, help);
    }
    if probe.times.is_some_and(|times| times < keys) {
        let message = format!("fewer calls than the {keys} values of '{key}'");
        let help = "drop `times`: each value is sent once".to_owned();
        return wrong("times", message, help);
    }
    let (Some(then), Some(now)) = ends(scenario, since, name) else {
        let message = format!("'{since}' does not run before '{name}'");
        let help = format!("add a step `probe: {since}` before it");
        return wrong("expect.moved.since", message, help);
    };
    let at = |step| pods_at(scenario, step, &probe.to);
    let (then, now) = (at(then), at(now));
    if then == 0 || now == 0 {
        // A gateway or an external host: the pods behind it are only known to the run.
        return Vec::new();
    }
    let errors = moved.errors(keys, then, now);
    if errors.alpha <= rates.alpha && errors.beta <= rates.beta {
        return Vec::new();
    }
    match moved.keys_needed(then, now, rates) {
        Some(needed) => {
            let message = format!("{keys} values of '{key}' are too few from {then} to {now} pods");
            let help = format!("send {needed} or more in both probes ({rates})");
            wrong("per-call", message, help)
        }
        None => {
            let message = format!("no number of keys decides this bound from {then} to {now} pods");
            let help = "set `at-most` between what a ring of 1024 points moves and what drawing each call would; docs/scenario-format.md has both".to_owned();
            wrong("expect.moved.at-most", message, help)
        }
    }
}

/// The last step that runs `since` before the first that runs `name`, and that one.
fn ends(scenario: &Scenario, since: &str, name: &str) -> (Option<usize>, Option<usize>) {
    let runs = |step: &Step, probe: &str| match step {
        Step::Probe(name) => name == probe,
        Step::Converge(converge) => converge.probe == probe,
        Step::Contrast(contrast) => contrast.probe == probe,
        _ => false,
    };
    let steps = &scenario.steps;
    let now = steps.iter().position(|step| runs(step, name));
    let until = now.unwrap_or(0);
    let then = steps[..until].iter().rposition(|step| runs(step, since));
    (then, now)
}

/// Pods behind the first part of `to` when the step runs; 0 when no workload is named so.
fn pods_at(scenario: &Scenario, step: usize, to: &str) -> u64 {
    let host = to.split([':', '.']).next().unwrap_or_default();
    let mut replicas: BTreeMap<&str, u32> = scenario
        .world
        .iter()
        .map(|workload| (workload.name.as_str(), workload.pods()))
        .collect();
    for step in &scenario.steps[..step] {
        if let Step::Scale(scale) = step {
            replicas.insert(&scale.workload, scale.replicas);
        }
    }
    let behind = scenario.world.iter().filter(|workload| {
        let app = workload.app.as_deref().unwrap_or(&workload.name);
        app == host
    });
    behind
        .filter_map(|workload| replicas.get(workload.name.as_str()))
        .map(|count| u64::from(*count))
        .sum()
}
