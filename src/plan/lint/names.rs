//! Names that must mean something: workloads, probes, cells, files, methods.

use std::collections::{BTreeSet, HashMap, hash_map::Entry};

use serde_json::Value;

use super::{change, context::Context, tls};
use crate::{
    fixture::workload::objects as objects_of,
    scenario::{
        finding::{Finding, did_you_mean},
        loaded::Loaded,
        model::{Contrast, Override, Step},
        objects, script, workload_file,
    },
    verdict::matcher::MATCHERS,
};

type Findings = Vec<Finding>;

pub fn lint(loaded: &Loaded, context: &Context, findings: &mut Findings) {
    world(loaded, context, findings);
    doubled(loaded, findings);
    probes(loaded, context, findings);
    steps(loaded, findings);
    unused(loaded, findings);
}

fn world(loaded: &Loaded, context: &Context, findings: &mut Findings) {
    let mut names = BTreeSet::new();
    for (at, workload) in loaded.scenario.world.iter().enumerate() {
        let path = format!("world[{at}]");
        if !names.insert(&workload.name) {
            let message = format!("two workloads are named '{}'", workload.name);
            let help = "give each its own name; `app:` puts several behind one Service";
            findings.push(loaded.at_value(&format!("{path}.name"), message, help));
        }
        let own = !matches!(loaded.workload(&workload.uses), Ok(None));
        let shared = context.workloads.as_ref();
        if let Some(shared) = shared.filter(|shared| !own && !shared.contains(&workload.uses)) {
            let names: Vec<&str> = shared.iter().map(String::as_str).collect();
            let message = format!("no workload file '{}.yaml'", workload.uses);
            let help = format!(
                "{}; or put the file beside the scenario",
                did_you_mean(&workload.uses, &names)
            );
            findings.push(loaded.at_value(&format!("{path}.uses"), message, help));
        }
    }
}

/// Two workloads that would write one object differently: which of them counts nobody could tell.
fn doubled(loaded: &Loaded, findings: &mut Findings) {
    let mut made: HashMap<(String, String), (String, Value)> = HashMap::new();
    for (at, workload) in loaded.scenario.world.iter().enumerate() {
        let text = workload_file::workload(loaded, &workload.uses).map(|(_, text)| text);
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
                        "'{}' makes another {kind} '{name}' than '{first}'",
                        workload.name
                    );
                    let help = "give it another `name` or `app`, or the same file";
                    findings.push(loaded.at(&format!("world[{at}]"), message, help));
                }
                Entry::Occupied(_) => {}
            }
        }
    }
}

fn workloads(loaded: &Loaded) -> Vec<&str> {
    loaded
        .scenario
        .world
        .iter()
        .map(|w| w.name.as_str())
        .collect()
}

fn probes(loaded: &Loaded, context: &Context, findings: &mut Findings) {
    for (name, probe) in &loaded.scenario.probes {
        let path = format!("probes.{name}");
        // A real browser needs no caller; `web` sees to the rest.
        if probe.browser.is_none() {
            from(loaded, &format!("{path}.from"), &probe.from, findings);
        }
        // A plain request with a path of its own calls no method; `web` sees to the rest.
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
        let mut cells = BTreeSet::new();
        for (at, row) in probe.vary.iter().enumerate() {
            let row_path = format!("{path}.vary[{at}]");
            cell_name(loaded, &row_path, &row.cell, &mut cells, findings);
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

fn cell_name<'a>(
    loaded: &Loaded,
    path: &str,
    name: &'a str,
    cells: &mut BTreeSet<&'a str>,
    findings: &mut Findings,
) {
    let path = format!("{path}.cell");
    if name.trim().is_empty() || name.contains(['[', ']']) {
        let help = "give the row a short name, e.g. `cell: unavailable`";
        findings.push(loaded.at_value(&path, "this cell has no usable name", help));
    } else if !cells.insert(name) {
        let help = "reports tell rows apart by name: give each its own";
        findings.push(loaded.at_value(&path, format!("two cells are named '{name}'"), help));
    }
}

fn overrides(
    loaded: &Loaded,
    context: &Context,
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

/// The caller must be in the world and be one of ours.
fn from(loaded: &Loaded, path: &str, name: &str, findings: &mut Findings) {
    let Some(workload) = loaded.scenario.world.iter().find(|w| w.name == name) else {
        let message = format!("'{name}' is not in the world");
        findings.push(loaded.at_value(path, message, did_you_mean(name, &workloads(loaded))));
        return;
    };
    let there = workload_file::workload(loaded, &workload.uses).is_ok();
    if there && !workload_file::is_caller(loaded, &workload.uses) {
        let message = format!("'{name}' is no caller: it uses '{}'", workload.uses);
        let help = "name a workload with `uses: caller`";
        findings.push(loaded.at_value(path, message, help));
    }
}

fn method(loaded: &Loaded, context: &Context, path: &str, call: &str, findings: &mut Findings) {
    let parts = call.split_once('/');
    if parts
        .is_none_or(|(service, name)| service.is_empty() || name.is_empty() || name.contains('/'))
    {
        let help = "write package.Service/Method, e.g. greeter.Greeter/SayHello";
        findings.push(loaded.at_value(path, format!("'{call}' is no method"), help));
    } else if let Some(known) = context
        .methods
        .as_ref()
        .filter(|known| !known.contains(call))
    {
        let names: Vec<&str> = known.iter().map(String::as_str).collect();
        let message = format!("our servers have no method '{call}'");
        findings.push(loaded.at_value(path, message, did_you_mean(call, &names)));
    }
}

pub(super) fn script(
    loaded: &Loaded,
    path: &str,
    value: Option<&serde_json::Value>,
    findings: &mut Findings,
) {
    if let Err(error) = script::script(value) {
        let help = "docs/scenario-format.md lists what a server can be told";
        findings.push(loaded.at(path, format!("the script cannot be read: {error}"), help));
    }
}

fn steps(loaded: &Loaded, findings: &mut Findings) {
    let mut applied: BTreeSet<&str> = BTreeSet::new();
    for (at, step) in loaded.scenario.steps.iter().enumerate() {
        let path = format!("steps[{at}]");
        match step {
            Step::Apply(name) => {
                let path = format!("{path}.apply");
                if !applied.insert(name) {
                    let message = format!("'{name}' is applied twice");
                    let help = "delete it first, or write the second state into a file of its own";
                    findings.push(loaded.at_value(&path, message, help));
                }
            }
            Step::Delete(name) => {
                if !applied.remove(name.as_str()) {
                    let message = format!("'{name}' is deleted but was not applied before");
                    let help = "apply it (or write it by `certificate`) in an earlier step, or remove this one";
                    findings.push(loaded.at_value(&format!("{path}.delete"), message, help));
                }
            }
            Step::Probe(name) => probe(loaded, &format!("{path}.probe"), name, findings),
            Step::Background(name) => probe(loaded, &format!("{path}.background"), name, findings),
            Step::Converge(converge) => {
                probe(
                    loaded,
                    &format!("{path}.converge.probe"),
                    &converge.probe,
                    findings,
                );
            }
            Step::Contrast(contrast) => {
                refutes(loaded, &format!("{path}.contrast"), contrast, findings)
            }
            Step::Scale(scale) => {
                workload(
                    loaded,
                    &format!("{path}.scale.workload"),
                    &scale.workload,
                    findings,
                );
            }
            Step::Restart(name) if name == "istiod" => {
                if !loaded.scenario.alone {
                    let help = "add `alone: true`: every scenario lives on the control plane";
                    let message = "istiod restarts while others run";
                    findings.push(loaded.at_value(&format!("{path}.restart"), message, help));
                }
            }
            Step::Versus(versus) => {
                let path = format!("{path}.versus");
                for (field, name) in [("probe", &versus.probe), ("against", &versus.against)] {
                    probe(loaded, &format!("{path}.{field}"), name, findings);
                }
            }
            Step::Restart(name) => workload(loaded, &format!("{path}.restart"), name, findings),
            Step::Certificate(step) => {
                applied.insert(&step.secret);
                tls::certificate(loaded, &format!("{path}.certificate"), step, findings);
            }
            Step::Refused(_) | Step::Churn(_) => {}
            Step::Finish(_) | Step::Tell(_) | Step::Ready(_) | Step::Await(_) => {
                change::lint(loaded, &path, at, findings);
            }
        }
    }
}

pub(super) fn workload(loaded: &Loaded, path: &str, name: &str, findings: &mut Findings) {
    let known = workloads(loaded);
    if !known.contains(&name) {
        let message = format!("'{name}' is not in the world");
        findings.push(loaded.at_value(path, message, did_you_mean(name, &known)));
    }
}

pub(super) fn probe(loaded: &Loaded, path: &str, name: &str, findings: &mut Findings) {
    let known: Vec<&str> = loaded.scenario.probes.keys().map(String::as_str).collect();
    if !known.contains(&name) {
        let message = format!("no probe is named '{name}'");
        findings.push(loaded.at_value(path, message, did_you_mean(name, &known)));
    }
}

fn refutes(loaded: &Loaded, path: &str, contrast: &Contrast, findings: &mut Findings) {
    probe(loaded, &format!("{path}.probe"), &contrast.probe, findings);
    let Some(probe) = loaded.scenario.probes.get(&contrast.probe) else {
        return;
    };
    let cells: Vec<&str> = probe.vary.iter().map(|row| row.cell.as_str()).collect();
    for (at, cell) in contrast.cells.iter().enumerate() {
        if !cells.contains(&cell.as_str()) {
            let message = format!("probe '{}' has no cell '{cell}'", contrast.probe);
            findings.push(loaded.at(
                &format!("{path}.cells[{at}]"),
                message,
                did_you_mean(cell, &cells),
            ));
        }
    }
    if contrast.refutes.is_empty() {
        let help = "name the matchers that must fail, e.g. `refutes: [reaches-all]`";
        findings.push(loaded.at(path, "this contrast refutes nothing", help));
    }
    refuted(loaded, path, &contrast.probe, &contrast.refutes, findings);
}

/// Matchers that a contrast names: they exist, and the probe expects them.
pub(super) fn refuted(
    loaded: &Loaded,
    path: &str,
    probe: &str,
    names: &[String],
    findings: &mut Findings,
) {
    for (at, name) in names.iter().enumerate() {
        let path = format!("{path}.refutes[{at}]");
        if !MATCHERS.contains(&name.as_str()) {
            let message = format!("'{name}' is no matcher");
            findings.push(loaded.at(&path, message, did_you_mean(name, MATCHERS)));
        } else if !set_somewhere(loaded, probe, name) {
            let message = format!("probe '{probe}' does not expect '{name}'");
            let help = "a contrast refutes what the probe expects: name one of its matchers";
            findings.push(loaded.at(&path, message, help));
        }
    }
}

/// The probe itself or one of its rows sets the matcher.
fn set_somewhere(loaded: &Loaded, probe: &str, matcher: &str) -> bool {
    let places = &loaded.places;
    let rows = loaded
        .scenario
        .probes
        .get(probe)
        .map_or(0, |probe| probe.vary.len());
    let row = |at: usize| places.has(&format!("probes.{probe}.vary[{at}].expect.{matcher}"));
    places.has(&format!("probes.{probe}.expect.{matcher}")) || (0..rows).any(row)
}

fn unused(loaded: &Loaded, findings: &mut Findings) {
    let used = |name: &String| {
        loaded.scenario.steps.iter().any(|step| match step {
            Step::Probe(probe) | Step::Background(probe) => probe == name,
            Step::Converge(converge) => converge.probe == *name,
            Step::Versus(versus) => versus.probe == *name || versus.against == *name,
            _ => false,
        })
    };
    for name in loaded.scenario.probes.keys().filter(|name| !used(name)) {
        let message = format!("probe '{name}' is never used");
        let help = "add a step `probe:`, `converge:` or `background:` for it (a contrast alone claims nothing)";
        findings.push(loaded.at(&format!("probes.{name}"), message, help));
    }
}
