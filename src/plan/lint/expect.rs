//! Expectations that cannot be read, cannot be decided, or cannot be true.

use crate::{
    plan::resolve::{of_cell, pods, resolve_contrast, resolve_probe},
    scenario::{
        finding::{Finding, did_you_mean},
        loaded::Loaded,
        model::{
            Probe, Producer, Scenario, SpreadPolicy, Step,
            config::EffectiveConfig,
            telemetry::{AccessLog, Counted},
        },
    },
    verdict::{Rates, ResolvedExpect, expect::Matcher},
};

pub fn lint(loaded: &Loaded, rates: Rates, findings: &mut Vec<Finding>) {
    let scenario = &loaded.scenario;
    for (name, probe) in &scenario.probes {
        let path = format!("probes.{name}");
        if probe.vary.is_empty() {
            expectation(loaded, &path, probe, rates, findings);
        }
        for (at, row) in probe.vary.iter().enumerate() {
            let path = format!("{path}.vary[{at}]");
            expectation(loaded, &path, &of_cell(probe, row), rates, findings);
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
                let runs = resolve_contrast(scenario, contrast, rates).ok();
                samples(loaded, &path, runs, rates, findings);
            }
        }
    }
}

/// The place of a matcher: in the row if it is set there, else in the probe.
fn place(loaded: &Loaded, path: &str, field: &str) -> String {
    let own = format!("{path}.expect.{field}");
    match path.split_once(".vary[") {
        Some((probe, _)) if !loaded.places.has(&own) => format!("{probe}.expect.{field}"),
        _ => own,
    }
}

fn expectation(
    loaded: &Loaded,
    path: &str,
    probe: &Probe,
    rates: Rates,
    findings: &mut Vec<Finding>,
) {
    let expect = match ResolvedExpect::resolve(&probe.expect) {
        Ok(expect) => expect,
        Err(errors) => {
            for error in errors {
                let at = place(loaded, path, error.field());
                let help = match &error {
                    crate::verdict::expect::ExpectError::Status(word) => {
                        did_you_mean(word, crate::scenario::status::names())
                    }
                    _ => "docs/scenario-format.md has the form of each matcher".to_owned(),
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
    for (field, message, help) in conflicts(&loaded.scenario, probe, &expect, rates) {
        let at = place(loaded, path, field);
        findings.push(loaded.at(&at, message, help));
    }
    for matcher in &expect.matchers {
        names(loaded, path, matcher, findings);
    }
}

type Conflict = (&'static str, String, &'static str);

/// Expectations that exclude each other, or that nothing can break.
fn conflicts(
    scenario: &Scenario,
    probe: &Probe,
    expect: &ResolvedExpect,
    rates: Rates,
) -> Vec<Conflict> {
    let mut found: Vec<Conflict> = Vec::new();
    let ok = expect.status() == Some(0);
    let pinned = expect.matchers.contains(&Matcher::Pinned(true));
    let sampled = |m: &&Matcher| m.is_statistical() || matches!(m, Matcher::Moved(_));
    let sampling = expect.matchers.iter().find(sampled);
    if sampling.is_some() && expect.status().is_none() {
        let matcher = sampling;
        let field = matcher.map_or("share", Matcher::name);
        let message = format!("'{field}' without 'status': failed calls would go unnoticed");
        found.push((
            field,
            message,
            "add the status that every call must have, e.g. `status: OK`",
        ));
    }
    for matcher in &expect.matchers {
        match matcher {
            Matcher::ProducedBy(who) if ok && *who != Producer::Application => {
                let message = "status OK that no application produced".to_owned();
                found.push((
                    "produced-by",
                    message,
                    "proxies and clients only make up errors: name one, or drop this",
                ));
            }
            Matcher::HttpStatus(code) if ok && *code != 200 => {
                let message = format!("gRPC status OK with HTTP status {code}");
                found.push((
                    "http-status",
                    message,
                    "gRPC answers are HTTP 200: drop one of the two",
                ));
            }
            Matcher::Attempts(counts) if ok && counts.to == 0 => {
                let message = "status OK without an attempt at any server".to_owned();
                found.push((
                    "attempts",
                    message,
                    "an answered call has at least one attempt",
                ));
            }
            Matcher::ReachesAll(_) | Matcher::Share(_) | Matcher::Spread { .. }
                if pinned && probe.connections == 1 =>
            {
                let message = format!(
                    "'pinned' and '{}' on one connection exclude each other",
                    matcher.name()
                );
                found.push((matcher.name(), message, "drop one, or make two probes"));
            }
            Matcher::Pinned(_) if probe.reconnect => {
                let message = "'pinned' with a fresh connection for each call".to_owned();
                found.push((
                    "pinned",
                    message,
                    "drop `reconnect`: pinning is about one connection",
                ));
            }
            Matcher::Spread {
                policy: SpreadPolicy::RoundRobin,
                ..
            } if probe.connections > 1 || probe.streams > 1 => {
                let message = "strict turns over several connections or streams".to_owned();
                found.push((
                    "spread",
                    message,
                    "turns are kept per worker: use one connection and one stream",
                ));
            }
            Matcher::Spread {
                policy: SpreadPolicy::AvoidsBusy,
                ..
            } if !has_background(scenario) => {
                let message = "'avoids-busy', but nothing keeps a pod busy".to_owned();
                found.push((
                    "spread",
                    message,
                    "add a step `background:` that holds a stream before this probe",
                ));
            }
            Matcher::Detects(share) if *share <= 0.0 || *share >= 1.0 => {
                let message = "no number of calls tells such a share".to_owned();
                found.push(("detects", message, "take a share between, such as 1%"));
            }
            Matcher::Detects(_) if expect.is_statistical() => {
                let message = "'detects' beside a statistical matcher".to_owned();
                found.push((
                    "detects",
                    message,
                    "make two probes: a statistical one stops as soon as it can tell",
                ));
            }
            Matcher::Detects(share)
                if probe
                    .times
                    .is_some_and(|times| times < statistics::calls_to_see(*share, rates.beta)) =>
            {
                let needed = statistics::calls_to_see(*share, rates.beta);
                let message = format!("too few calls for 'detects': it needs {needed}");
                found.push(("detects", message, "drop `times`, or make it larger"));
            }
            Matcher::Lost(most) if probe.times.is_some_and(|times| *most >= times) => {
                let message = format!(
                    "{most} calls may be lost of {} made",
                    probe.times.unwrap_or(0)
                );
                found.push(("lost", message, "permit fewer losses than calls"));
            }
            _ => {}
        }
    }
    found
}

fn has_background(scenario: &Scenario) -> bool {
    scenario
        .steps
        .iter()
        .any(|step| matches!(step, Step::Background(_)))
}

/// Workloads that matchers name.
fn names(loaded: &Loaded, path: &str, matcher: &Matcher, findings: &mut Vec<Finding>) {
    let pods = pods(&loaded.scenario);
    let apps: Vec<&str> = pods.keys().map(String::as_str).collect();
    let workloads: Vec<&str> = loaded
        .scenario
        .world
        .iter()
        .map(|w| w.name.as_str())
        .collect();
    let mut unknown = |name: &str, known: &[&str]| {
        if !known.contains(&name) {
            let at = place(loaded, path, matcher.name());
            let message = format!("'{name}' is not in the world");
            findings.push(loaded.at(&at, message, did_you_mean(name, known)));
        }
    };
    match matcher {
        Matcher::ReachesAll(app) | Matcher::Spread { over: app, .. } => unknown(app, &apps),
        Matcher::AnsweredBy(workload) => unknown(workload, &workloads),
        Matcher::Share(shares) => shares.keys().for_each(|name| unknown(name, &workloads)),
        Matcher::ResponseFlag { at, .. } if at != "gateway" => unknown(at, &workloads),
        Matcher::AccessLog(AccessLog { at, .. })
        | Matcher::Counted(Counted { at, .. })
        | Matcher::Config(EffectiveConfig { at, .. })
            if at != "gateway" =>
        {
            unknown(at, &workloads);
        }
        Matcher::Spans(spans) => {
            let named = spans.from.iter().chain([&spans.at]);
            named.for_each(|name| unknown(name, &workloads));
        }
        Matcher::Diagnosis(diagnosis) => unknown(&diagnosis.of, &workloads),
        _ => {}
    }
}

/// Enough calls for the declared rates, and pods enough for the question to mean something.
fn samples(
    loaded: &Loaded,
    path: &str,
    runs: Option<Vec<crate::plan::resolve::ResolvedProbe>>,
    rates: Rates,
    findings: &mut Vec<Finding>,
) {
    for run in runs.unwrap_or_default() {
        let Some(matcher) = run.expect.matchers.iter().find(|m| m.is_statistical()) else {
            continue;
        };
        let name = matcher.name();
        match run.needed {
            Some(needed) if run.times < needed => {
                let message = format!(
                    "{} calls are too few for '{name}': it may need {needed}",
                    run.times
                );
                let help = format!(
                    "drop `times`, or set it to {needed} or more ({rates}); the run stops as soon as it can tell"
                );
                findings.push(loaded.at(&format!("{path}.times"), message, help));
            }
            None => {
                let message = format!("'{name}' over a single pod says nothing");
                let help = "give the workload `replicas: 2` or more";
                findings.push(loaded.at(&place(loaded, path, name), message, help));
            }
            Some(_) => {}
        }
    }
}
