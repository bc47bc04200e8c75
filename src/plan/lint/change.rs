//! Rules of the verbs that change servers and end backgrounds.

use super::names::{probe, refuted, script, workload};
use crate::scenario::{
    finding::Finding,
    loaded::Loaded,
    model::{Finish, Step, Tell},
};

type Findings = Vec<Finding>;

/// Step number `at`, whose place in the file is `path`.
pub fn lint(loaded: &Loaded, path: &str, at: usize, findings: &mut Findings) {
    match &loaded.scenario.steps[at] {
        Step::Finish(step) => finish(loaded, &format!("{path}.finish"), at, step, findings),
        Step::Tell(step) => tell(loaded, &format!("{path}.tell"), step, findings),
        Step::Ready(step) => {
            let path = format!("{path}.ready");
            workload(
                loaded,
                &format!("{path}.workload"),
                &step.workload,
                findings,
            );
        }
        Step::Await(step) => {
            let path = format!("{path}.await");
            workload(loaded, &format!("{path}.at"), &step.at, findings);
        }
        _ => {}
    }
}

/// Only what runs can be ended.
fn finish(loaded: &Loaded, path: &str, at: usize, step: &Finish, findings: &mut Findings) {
    probe(loaded, &format!("{path}.probe"), &step.probe, findings);
    refuted(loaded, path, &step.probe, &step.refutes, findings);
    let step_probe = step.probe.as_str();
    let running = loaded.scenario.steps[..at]
        .iter()
        .rev()
        .find_map(|step| match step {
            Step::Background(name) if name == step_probe => Some(true),
            Step::Finish(finish) if finish.probe == step_probe => Some(false),
            _ => None,
        });
    if running != Some(true) {
        let message = format!("probe '{}' does not run in the background here", step.probe);
        let help = "add a step `background:` for it before this one";
        findings.push(loaded.at_value(&format!("{path}.probe"), message, help));
    }
}

fn tell(loaded: &Loaded, path: &str, step: &Tell, findings: &mut Findings) {
    workload(
        loaded,
        &format!("{path}.workload"),
        &step.workload,
        findings,
    );
    script(
        loaded,
        &format!("{path}.script"),
        step.script.as_ref(),
        findings,
    );
    if step.script.is_none() && step.health.is_none() && !step.go_away {
        let help = "add `script:`, `health:` or `go-away: true`";
        findings.push(loaded.at(path, "the servers are told nothing", help));
    }
}
