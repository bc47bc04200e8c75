//! References that must resolve: workloads, probes, cases, files, methods.

use std::collections::{BTreeSet, HashMap, hash_map::Entry};

use serde_json::Value;

use super::context::LintContext;
use crate::{
    fixture::workload::objects as objects_of,
    scenario::{
        finding::{Finding, did_you_mean},
        loaded::LoadedScenario,
        model::{Override, Step},
        objects,
        script::{self, ScriptError},
        verb::spec::{Around, Before},
        workload_file,
    },
    verdict::{Rates, matcher::MATCHERS},
};

type Findings = Vec<Finding>;

pub fn lint(loaded: &LoadedScenario, context: &LintContext, findings: &mut Findings) {
    world(loaded, context, findings);
    doubled(loaded, findings);
    probes(loaded, context, findings);
    steps(loaded, context.rates, findings);
    unused(loaded, findings);
}

fn world(loaded: &LoadedScenario, context: &LintContext, findings: &mut Findings) {
    let mut names = BTreeSet::new();
    for (at, workload) in loaded.scenario.workloads.iter().enumerate() {
        let path = format!("workloads[{at}]");
        if !names.insert(&workload.name) {
            let message = format!("two workloads are named '{}'", workload.name);
            let help = "give each its own name; use `app:` to put several behind one Service";
            findings.push(loaded.at_value(&format!("{path}.name"), message, help));
        }
        let own = !matches!(loaded.workload(&workload.template), Ok(None));
        let shared = context.workloads.as_ref();
        if let Some(shared) = shared.filter(|shared| !own && !shared.contains(&workload.template)) {
            let names: Vec<&str> = shared.iter().map(String::as_str).collect();
            let message = format!("no workload file '{}.yaml'", workload.template);
            let help = format!(
                "{}; or put the file beside the scenario",
                did_you_mean(&workload.template, &names)
            );
            findings.push(loaded.at_value(&format!("{path}.template"), message, help));
        }
    }
}

/// Two workloads that define the same object differently: which one applies would be ambiguous.
fn doubled(loaded: &LoadedScenario, findings: &mut Findings) {
    let mut made: HashMap<(String, String), (String, Value)> = HashMap::new();
    for (at, workload) in loaded.scenario.workloads.iter().enumerate() {
        let text = workload_file::workload(loaded, &workload.template).map(|(_, text)| text);
        let documents = text.ok().and_then(|text| objects::values(&text).ok());
        for object in objects_of(workload, &documents.unwrap_or_default(), "lint") {
            let text = |pointer: &str| {
                let found = object.pointer(pointer).and_then(Value::as_str);
                found.unwrap_or_default().to_owned()
            };
            let address = (text("/kind"), text("/metadata/name"));
            let (kind, name) = address.clone();
            match made.entry(address) {
                Entry::Vacant(entry) => {
                    entry.insert((workload.name.clone(), object));
                }
                Entry::Occupied(entry) if entry.get().1 != object => {
                    let first = &entry.get().0;
                    let message = format!(
                        "'{}' defines {kind} '{name}' differently from '{first}'",
                        workload.name
                    );
                    let help = "give it another `name` or `app`, or the same `template`";
                    findings.push(loaded.at(&format!("workloads[{at}]"), message, help));
                }
                Entry::Occupied(_) => {}
            }
        }
    }
}

pub(super) fn workloads(loaded: &LoadedScenario) -> Vec<&str> {
    loaded
        .scenario
        .workloads
        .iter()
        .map(|w| w.name.as_str())
        .collect()
}

fn probes(loaded: &LoadedScenario, context: &LintContext, findings: &mut Findings) {
    for (name, probe) in &loaded.scenario.probes {
        let path = format!("probes.{name}");
        // A real browser needs no caller; `web` checks the rest.
        if probe.browser.is_none() {
            from(loaded, &format!("{path}.from"), &probe.from, findings);
        }
        // A plain request with its own path calls no method; `web` checks the rest.
        if !probe.call.is_empty() {
            method(
                loaded,
                context,
                &format!("{path}.call"),
                &probe.call,
                findings,
            );
        }
        script(
            loaded,
            &format!("{path}.script"),
            probe.script.as_ref(),
            findings,
        );
        let mut cases = BTreeSet::new();
        for (at, row) in probe.cases.iter().enumerate() {
            let row_path = format!("{path}.cases[{at}]");
            case_name(loaded, &row_path, &row.name, &mut cases, findings);
            overrides(
                loaded,
                context,
                &format!("{row_path}.with"),
                &row.with,
                findings,
            );
        }
    }
    for (at, step) in loaded.scenario.steps.iter().enumerate() {
        if let Step::Contrast(contrast) = step {
            let path = format!("steps[{at}].contrast.with");
            overrides(loaded, context, &path, &contrast.with, findings);
        }
    }
}

fn case_name<'a>(
    loaded: &LoadedScenario,
    path: &str,
    name: &'a str,
    cases: &mut BTreeSet<&'a str>,
    findings: &mut Findings,
) {
    let path = format!("{path}.name");
    if name.trim().is_empty() || name.contains(['[', ']']) {
        let help = "give the case a short name without brackets, e.g. `name: unavailable`";
        findings.push(loaded.at_value(&path, "this case has no valid name", help));
    } else if !cases.insert(name) {
        let help = "reports identify cases by name: give each its own";
        findings.push(loaded.at_value(&path, format!("two cases are named '{name}'"), help));
    }
}

fn overrides(
    loaded: &LoadedScenario,
    context: &LintContext,
    path: &str,
    with: &Override,
    findings: &mut Findings,
) {
    if let Some(name) = &with.from {
        from(loaded, &format!("{path}.from"), name, findings);
    }
    if let Some(call) = &with.call {
        method(loaded, context, &format!("{path}.call"), call, findings);
    }
    script(
        loaded,
        &format!("{path}.script"),
        with.script.as_ref(),
        findings,
    );
}

/// The caller must be one of the scenario's workloads and accept call plans.
fn from(loaded: &LoadedScenario, path: &str, name: &str, findings: &mut Findings) {
    let Some(workload) = loaded.scenario.workloads.iter().find(|w| w.name == name) else {
        let message = format!("no workload is named '{name}'");
        findings.push(loaded.at_value(path, message, did_you_mean(name, &workloads(loaded))));
        return;
    };
    let there = workload_file::workload(loaded, &workload.template).is_ok();
    if there && !workload_file::is_caller(loaded, &workload.template) {
        let message = format!(
            "'{name}' is not a caller: its template is '{}'",
            workload.template
        );
        let help = "name a workload with `template: caller`";
        findings.push(loaded.at_value(path, message, help));
    }
}

fn method(
    loaded: &LoadedScenario,
    context: &LintContext,
    path: &str,
    call: &str,
    findings: &mut Findings,
) {
    let parts = call.split_once('/');
    if parts
        .is_none_or(|(service, name)| service.is_empty() || name.is_empty() || name.contains('/'))
    {
        let help = "write package.Service/Method, e.g. greeter.Greeter/SayHello";
        findings.push(loaded.at_value(path, format!("invalid method '{call}'"), help));
    } else if let Some(known) = context
        .methods
        .as_ref()
        .filter(|known| !known.contains(call))
    {
        let names: Vec<&str> = known.iter().map(String::as_str).collect();
        let message = format!("the test servers have no method '{call}'");
        findings.push(loaded.at_value(path, message, did_you_mean(call, &names)));
    }
}

fn script(
    loaded: &LoadedScenario,
    path: &str,
    value: Option<&serde_json::Value>,
    findings: &mut Findings,
) {
    if let Err(error) = script::script(value) {
        findings.push(loaded.at(path, error.reported(), ScriptError::HELP));
    }
}

fn steps(loaded: &LoadedScenario, rates: Rates, findings: &mut Findings) {
    let scenario = &loaded.scenario;
    let around = Around {
        probes: &scenario.probes,
        serial: scenario.serial,
        rates,
    };
    let mut before = Before::default();
    for (at, step) in scenario.steps.iter().enumerate() {
        for (field, name) in step.workloads() {
            workload(loaded, &step.path(at, field), name, findings);
        }
        for (field, name) in step.probes() {
            probe(loaded, &step.path(at, field), name, findings);
        }
        for mistake in step.mistakes(&before, &around) {
            let path = step.path(at, &mistake.field);
            findings.push(match mistake.value {
                true => loaded.at_value(&path, mistake.message, mistake.help),
                false => loaded.at(&path, mistake.message, mistake.help),
            });
        }
        if let Some((probe, names)) = step.refuted() {
            refuted(loaded, &step.path(at, ""), probe, names, findings);
        }
        step.leaves(&mut before);
    }
}

fn workload(loaded: &LoadedScenario, path: &str, name: &str, findings: &mut Findings) {
    let known = workloads(loaded);
    if !known.contains(&name) {
        let message = format!("no workload is named '{name}'");
        findings.push(loaded.at_value(path, message, did_you_mean(name, &known)));
    }
}

fn probe(loaded: &LoadedScenario, path: &str, name: &str, findings: &mut Findings) {
    let known: Vec<&str> = loaded.scenario.probes.keys().map(String::as_str).collect();
    if !known.contains(&name) {
        let message = format!("no probe is named '{name}'");
        findings.push(loaded.at_value(path, message, did_you_mean(name, &known)));
    }
}

/// Checks that the matchers a contrast names exist and that the probe expects them.
fn refuted(
    loaded: &LoadedScenario,
    path: &str,
    probe: &str,
    names: &[String],
    findings: &mut Findings,
) {
    for (at, name) in names.iter().enumerate() {
        let path = format!("{path}.must-fail[{at}]");
        if !MATCHERS.contains(&name.as_str()) {
            let message = format!("unknown matcher '{name}'");
            findings.push(loaded.at(&path, message, did_you_mean(name, MATCHERS)));
        } else if !set_somewhere(loaded, probe, name) {
            let message = format!("probe '{probe}' does not expect '{name}'");
            let help = "a contrast refutes what the probe expects: name one of its matchers";
            findings.push(loaded.at(&path, message, help));
        }
    }
}

/// The probe itself or one of its cases sets the matcher.
fn set_somewhere(loaded: &LoadedScenario, probe: &str, matcher: &str) -> bool {
    let places = &loaded.places;
    let rows = loaded
        .scenario
        .probes
        .get(probe)
        .map_or(0, |probe| probe.cases.len());
    let row = |at: usize| places.has(&format!("probes.{probe}.cases[{at}].expect.{matcher}"));
    places.has(&format!("probes.{probe}.expect.{matcher}")) || (0..rows).any(row)
}

fn unused(loaded: &LoadedScenario, findings: &mut Findings) {
    let claims = |step: &&Step| !matches!(step, Step::Contrast(_));
    let steps = loaded.scenario.steps.iter().filter(claims);
    let runs: Vec<&str> = steps.flat_map(Step::runs).map(|run| run.probe).collect();
    let used = |name: &String| runs.contains(&name.as_str());
    for name in loaded.scenario.probes.keys().filter(|name| !used(name)) {
        let message = format!("probe '{name}' is never used");
        let help = "add a step `probe:`, `converge:` or `background:` for it (a contrast alone claims nothing)";
        findings.push(loaded.at(&format!("probes.{name}"), message, help));
    }
}
