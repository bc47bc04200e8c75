//! Expectations that cannot be read, cannot be decided, or cannot be true.

use super::names::workloads;
use crate::{
    plan::{
        resolve::{ResolvedProbe, of_case, pods, resolve_probe},
        step_probes,
    },
    scenario::{
        finding::{Finding, did_you_mean},
        loaded::LoadedScenario,
        model::{Probe, Scenario, Step},
    },
    verdict::{
        Matcher, Rates, ResolvedExpect,
        matcher::{
            ExpectError,
            pinned::Pinned,
            spec::{Around, Named},
        },
    },
};

pub fn lint(loaded: &LoadedScenario, rates: Rates, findings: &mut Vec<Finding>) {
    let scenario = &loaded.scenario;
    for (name, probe) in &scenario.probes {
        let path = format!("probes.{name}");
        if probe.cases.is_empty() {
            expectation(loaded, &path, probe, rates, findings);
        }
        for (at, row) in probe.cases.iter().enumerate() {
            let path = format!("{path}.cases[{at}]");
            expectation(loaded, &path, &of_case(probe, row), rates, findings);
        }
        samples(
            loaded,
            &path,
            resolve_probe(scenario, name, rates).ok(),
            rates,
            findings,
        );
    }
    for (at, step) in scenario.steps.iter().enumerate() {
        if let Step::Contrast(contrast) = step {
            let path = format!("steps[{at}].contrast.with");
            if contrast.with.times.is_some() {
                let runs = step_probes(scenario, step, rates).ok();
                samples(loaded, &path, runs, rates, findings);
            }
        }
    }
}

/// The path of a matcher: in the case if it is set there, else in the probe.
fn position(loaded: &LoadedScenario, path: &str, field: &str) -> String {
    let own = format!("{path}.expect.{field}");
    match path.split_once(".cases[") {
        Some((probe, _)) if !loaded.places.has(&own) => format!("{probe}.expect.{field}"),
        _ => own,
    }
}

fn expectation(
    loaded: &LoadedScenario,
    path: &str,
    probe: &Probe,
    rates: Rates,
    findings: &mut Vec<Finding>,
) {
    let expect = match ResolvedExpect::resolve(&probe.expect) {
        Ok(expect) => expect,
        Err(errors) => {
            for error in errors {
                let at = position(loaded, path, error.field());
                let help = match &error {
                    ExpectError::Unknown { word, known, .. } => did_you_mean(word, known),
                    _ => "see docs/scenario-format.md for the form of each matcher".to_owned(),
                };
                findings.push(loaded.at_value(&at, error.to_string(), help));
            }
            return;
        }
    };
    if expect.matchers.is_empty() {
        let help = "add `expect:` with at least one matcher, e.g. `status: OK`";
        findings.push(loaded.at(path, "this probe expects nothing", help));
    }
    let counting = expect.matchers.iter().find(|m| m.counts_answers());
    if let Some(matcher) = counting.filter(|_| expect.status().is_none()) {
        let field = matcher.name();
        let message = format!("'{field}' without 'status': failed calls would go unnoticed");
        let help = "add the status that every call must return, e.g. `status: OK`";
        findings.push(loaded.at(&position(loaded, path, field), message, help));
    }
    let around = around(&loaded.scenario, probe, &expect, rates);
    for matcher in &expect.matchers {
        let at = position(loaded, path, matcher.name());
        for mistake in matcher.mistakes(&around) {
            findings.push(loaded.at(&at, mistake.message, mistake.help));
        }
        names(loaded, &at, matcher, findings);
    }
}

fn around<'a>(
    scenario: &'a Scenario,
    probe: &'a Probe,
    expect: &ResolvedExpect,
    rates: Rates,
) -> Around<'a> {
    let steps = &scenario.steps;
    let made = steps.iter().filter_map(|step| match step {
        Step::Certificate(step) => Some(step.name()),
        _ => None,
    });
    Around {
        status: expect.status(),
        pinned: expect.get() == Some(&Pinned(true)),
        statistical: expect.is_statistical(),
        connections: probe.connections,
        streams: probe.streams,
        reconnect: probe.reconnect,
        times: probe.times,
        tls: probe.tls.is_some(),
        page: probe.web.is_some() || probe.http.is_some() || probe.browser.is_some(),
        per_call: &probe.per_call,
        certificates: made.collect(),
        background: steps.iter().any(|step| matches!(step, Step::Background(_))),
        rates,
    }
}

/// Workloads that a matcher names.
fn names(loaded: &LoadedScenario, at: &str, matcher: &Matcher, findings: &mut Vec<Finding>) {
    let pods = pods(&loaded.scenario);
    let apps: Vec<&str> = pods.keys().map(String::as_str).collect();
    let workloads = workloads(loaded);
    for named in matcher.names() {
        let (name, known) = match named {
            Named::Proxy("gateway") => continue,
            Named::App(name) => (name, &apps),
            Named::Workload(name) | Named::Proxy(name) => (name, &workloads),
        };
        if !known.contains(&name) {
            let message = format!("no workload is named '{name}'");
            findings.push(loaded.at(at, message, did_you_mean(name, known)));
        }
    }
}

/// Enough calls for the declared error rates, and enough pods for the claim to be falsifiable.
fn samples(
    loaded: &LoadedScenario,
    path: &str,
    runs: Option<Vec<ResolvedProbe>>,
    rates: Rates,
    findings: &mut Vec<Finding>,
) {
    for run in runs.unwrap_or_default() {
        let Some(matcher) = run.expect.matchers.iter().find(|m| m.is_statistical()) else {
            continue;
        };
        let name = matcher.name();
        match run.load.needed {
            Some(needed) if run.load.times < needed => {
                let message = format!(
                    "{} calls are too few for '{name}': it may need {needed}",
                    run.load.times
                );
                let help = format!(
                    "drop `times`, or set it to {needed} or more ({rates}); the run stops as soon as it is decided"
                );
                findings.push(loaded.at(&format!("{path}.times"), message, help));
            }
            None => {
                let message = format!("'{name}' proves nothing with a single pod");
                let help = "give the workload `replicas: 2` or more";
                findings.push(loaded.at(&position(loaded, path, name), message, help));
            }
            Some(_) => {}
        }
    }
}
