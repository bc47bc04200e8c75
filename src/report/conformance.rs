//! `conformance.yaml`: the field names of Gateway API's ConformanceReport in meshproof's own API
//! group, because the claims are its own. Each area is a profile with a part for each level; the
//! result of a part is success, partial (something was skipped or is a known failure) or failure.

use std::collections::BTreeMap;

use serde::Serialize;

use super::model::{Model, ScenarioReport, VerdictCounts};
use crate::{scenario::model::Level, verdict::outcome::Verdict};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConformanceReport<'a> {
    api_version: &'static str,
    kind: &'static str,
    date: &'a str,
    mode: &'a str,
    implementation: Implementation<'a>,
    meshproof_version: &'a str,
    unsupported_features: &'a [String],
    profiles: Vec<Profile<'a>>,
}

#[derive(Serialize)]
struct Implementation<'a> {
    project: &'a str,
    version: &'a str,
    versions: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Profile<'a> {
    name: &'a str,
    summary: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    core: Option<LevelStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extended: Option<LevelStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provisional: Option<LevelStatus>,
}

/// The scenarios of one level.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LevelStatus {
    result: &'static str,
    statistics: Statistics,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed_tests: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    skipped_tests: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statistics {
    failed: usize,
    passed: usize,
    skipped: usize,
}

/// `conformance.yaml` as text.
pub fn render(model: &Model) -> String {
    let run = &model.run;
    let version = model.versions.get(&run.mesh).map_or("", String::as_str);
    let document = ConformanceReport {
        api_version: "meshproof.dev/v1alpha1",
        kind: "ConformanceReport",
        date: &run.started,
        mode: &run.profile,
        implementation: Implementation {
            project: &run.mesh,
            version,
            versions: &model.versions,
        },
        meshproof_version: &run.meshproof,
        unsupported_features: &model.lacks,
        profiles: profiles(model),
    };
    serde_yaml::to_string(&document).expect("reports are plain data")
}

fn profiles(model: &Model) -> Vec<Profile<'_>> {
    let mut areas: Vec<&str> = model
        .scenarios
        .iter()
        .map(|s| s.plan.area.as_str())
        .collect();
    areas.sort_unstable();
    areas.dedup();
    areas.into_iter().map(|area| profile(model, area)).collect()
}

fn profile<'a>(model: &'a Model, area: &'a str) -> Profile<'a> {
    let of = |level| status(model, area, level);
    let (core, extended) = (of(Level::Core), of(Level::Extended));
    let provisional = of(Level::Provisional);
    let levels = [
        ("Core", &core),
        ("Extended", &extended),
        ("Provisional", &provisional),
    ];
    let sentences = levels
        .into_iter()
        .filter_map(|(word, status)| Some(sentence(word, status.as_ref()?)));
    Profile {
        name: area,
        summary: sentences.collect::<Vec<_>>().join(" "),
        core,
        extended,
        provisional,
    }
}

fn sentence(level: &str, status: &LevelStatus) -> String {
    let Statistics {
        failed,
        passed,
        skipped,
    } = status.statistics;
    format!("{level}: {passed} passed, {failed} failed, {skipped} skipped.")
}

/// `None`: the area has no scenario of this level.
fn status(model: &Model, area: &str, level: Level) -> Option<LevelStatus> {
    let mut counts = VerdictCounts::default();
    let (mut failed_tests, mut skipped_tests) = (Vec::new(), Vec::new());
    let ours = |s: &&ScenarioReport| s.plan.area == area && s.plan.level == level;
    for scenario in model.scenarios.iter().filter(ours) {
        counts.add(scenario.verdict());
        match scenario.verdict() {
            Verdict::Pass => {}
            Verdict::Skip => skipped_tests.push(scenario.anchor()),
            _ => failed_tests.push(scenario.anchor()),
        }
    }
    let result = if counts.fail + counts.error + counts.unexpected > 0 {
        "failure"
    } else if counts.skip + counts.known > 0 {
        "partial"
    } else {
        "success"
    };
    let statistics = Statistics {
        failed: failed_tests.len(),
        passed: counts.pass,
        skipped: counts.skip,
    };
    (counts.total() > 0).then_some(LevelStatus {
        result,
        statistics,
        failed_tests,
        skipped_tests,
    })
}
