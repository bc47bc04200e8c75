//! Rules across the fields of one scenario. The parser has already rejected unknown keys, verbs and
//! types.

use super::{
    calls, context::LintContext, expect, manifest, names, placeholders::bad_placeholders, remapped,
    tls, web, workload,
};
use crate::scenario::{
    finding::{Finding, did_you_mean},
    known::{KnownFile, lint_known},
    loaded::LoadedScenario,
    model::Step,
    requirements::{REQUIREMENTS, needs},
    set::ScenarioSet,
};

/// All findings about a set of scenarios and the lists of known failures, by file and line.
pub fn lint_all(set: &ScenarioSet, known: &[KnownFile], context: &LintContext) -> Vec<Finding> {
    let mut findings = set.findings.clone();
    for loaded in &set.scenarios {
        if loaded.is_variant() {
            // The same scenario in another dialect: only its manifests differ.
            manifest::lint(loaded, &mut findings);
        } else {
            findings.extend(lint(loaded, context));
        }
    }
    findings.extend(lint_known(known, &set.scenarios));
    let position = |finding: &Finding| (finding.file.clone(), finding.line, finding.column);
    findings.sort_by_key(position);
    // A file that several scenarios use is checked once for each of them.
    findings.dedup_by(|a, b| a.plain() == b.plain());
    findings
}

/// All findings about one scenario.
pub fn lint(loaded: &LoadedScenario, context: &LintContext) -> Vec<Finding> {
    let mut findings = Vec::new();
    title(loaded, &mut findings);
    head(loaded, &mut findings);
    contrast(loaded, &mut findings);
    placeholders(loaded, &mut findings);
    names::lint(loaded, context, &mut findings);
    manifest::lint(loaded, &mut findings);
    expect::lint(loaded, context.rates, &mut findings);
    calls::lint(loaded, context.rates, &mut findings);
    remapped::lint(loaded, context.rates, &mut findings);
    web::lint(loaded, &mut findings);
    tls::lint(loaded, &mut findings);
    workload::lint(loaded, &mut findings);
    findings
}

/// Longest title: every report shows it on one line.
const TITLE: usize = 200;

fn title(loaded: &LoadedScenario, findings: &mut Vec<Finding>) {
    let title = loaded.scenario.title.trim();
    let problem = if title.is_empty() {
        "the title is empty"
    } else if title.ends_with('?') {
        "the title is a question"
    } else if title.chars().count() > TITLE {
        "the title is longer than 200 characters"
    } else if title.split_whitespace().count() < 3 {
        "the title must be a sentence"
    } else {
        return;
    };
    let help =
        "write a claim that can be false, e.g. 'Calls of one connection reach every replica'";
    findings.push(loaded.at_value("title", problem, help));
}

fn head(loaded: &LoadedScenario, findings: &mut Vec<Finding>) {
    let scenario = &loaded.scenario;
    if scenario.why.trim().is_empty() {
        let help =
            "say who relies on the behaviour, and how the mesh may differ from what they expect";
        findings.push(loaded.at_value("why", "'why' is empty", help));
    }
    if scenario
        .source
        .iter()
        .all(|source| source.trim().is_empty())
    {
        let help =
            "name the specification, document or source file that the expectation comes from";
        findings.push(loaded.at_value("source", "'source' is empty", help));
    }
    let rows: Vec<&str> = REQUIREMENTS.iter().map(|(id, _)| *id).collect();
    let needs: Vec<&str> = needs().collect();
    each_known(
        loaded,
        "proves",
        &scenario.proves,
        &rows,
        "requirement",
        findings,
    );
    each_known(
        loaded,
        "needs",
        &scenario.needs,
        &needs,
        "capability",
        findings,
    );
}

fn each_known(
    loaded: &LoadedScenario,
    key: &str,
    parts: &[String],
    known: &[&str],
    what: &str,
    findings: &mut Vec<Finding>,
) {
    for (at, word) in parts.iter().enumerate() {
        if !known.contains(&word.as_str()) {
            let message = format!("unknown {what} '{word}'");
            findings.push(loaded.at(&format!("{key}[{at}]"), message, did_you_mean(word, known)));
        }
    }
}

/// Exactly one of a contrast step and `no-contrast` must be present.
fn contrast(loaded: &LoadedScenario, findings: &mut Vec<Finding>) {
    let scenario = &loaded.scenario;
    let has = scenario.steps.iter().any(Step::is_contrast);
    let reason = scenario.no_contrast.as_deref().map(str::trim);
    match (has, reason) {
        (false, None) => {
            let help = "add a `contrast:` step in which the same probe must be refuted, or explain in `no-contrast:` why none is possible";
            findings.push(loaded.at(
                "steps",
                "no contrast: a check that cannot fail proves nothing",
                help,
            ));
        }
        (true, Some(_)) => {
            let help = "remove `no-contrast:`";
            findings.push(loaded.at(
                "no-contrast",
                "the scenario has both a contrast and `no-contrast`",
                help,
            ));
        }
        (false, Some("")) => {
            let help = "say why the claim cannot be refuted by configuration";
            findings.push(loaded.at("no-contrast", "'no-contrast' gives no reason", help));
        }
        _ => {}
    }
}

fn placeholders(loaded: &LoadedScenario, findings: &mut Vec<Finding>) {
    findings.extend(bad_placeholders(&loaded.file, &loaded.text));
}
