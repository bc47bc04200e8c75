//! `junit.xml`: suite = area, test case = scenario. FAIL and UNEXPECTED-PASS are failures, ERROR
//! is an error whose type is its class, SKIP and KNOWN-FAILURE are skipped with their reason.

use std::collections::BTreeMap;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use super::model::{Failure, Model, ScenarioReport};
use super::text;
use crate::errors::ErrorClass;
use crate::output::clean;
use crate::verdict::outcome::Verdict;

/// `junit.xml` as text. Characters that XML does not allow are removed.
pub fn render(model: &Model) -> String {
    let mut areas: BTreeMap<&str, Vec<&ScenarioReport>> = BTreeMap::new();
    for scenario in &model.scenarios {
        areas.entry(&scenario.plan.area).or_default().push(scenario);
    }
    let mut report = Report::new("meshproof");
    report.set_time(Duration::from_millis(model.wall_ms));
    for (area, scenarios) in areas {
        let mut suite = TestSuite::new(area);
        let wall = scenarios.iter().map(|scenario| scenario.end.wall_ms);
        suite.set_time(Duration::from_millis(wall.fold(0, u64::saturating_add)));
        suite.add_properties(properties(model));
        suite.add_test_cases(scenarios.iter().map(|scenario| case(model, scenario)));
        report.add_test_suite(suite);
    }
    let failures = model.failures();
    if !failures.is_empty() {
        let mut suite = TestSuite::new("meshproof");
        suite.add_properties(properties(model));
        suite.add_test_cases(failures.iter().map(failed));
        report.add_test_suite(suite);
    }
    report.to_string().expect("writing to memory")
}

/// A failed part of the run as a test case, so that every JUnit reader shows that something is
/// wrong.
fn failed(failure: &Failure) -> TestCase {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status
        .set_message(clean(&failure.message()))
        .set_type(text::label(Verdict::Error));
    let mut case = TestCase::new(failure.part.name(), status);
    case.set_classname("meshproof");
    case.set_time(Duration::from_millis(failure.ms.unwrap_or_default()));
    case
}

fn properties(model: &Model) -> Vec<Property> {
    let run = &model.run;
    let mut properties = vec![
        Property::new("meshproof", run.meshproof.as_str()),
        Property::new("run", run.run_id.as_str()),
        Property::new("started", run.started.as_str()),
        Property::new("target", run.target.as_str()),
        Property::new("mesh", run.mesh.as_str()),
        Property::new("profile", run.profile.as_str()),
        Property::new("seed", run.seed.to_string()),
        Property::new("reproduce", clean(&run.reproduce)),
    ];
    let versions = model.versions.iter();
    properties.extend(
        versions.map(|(what, version)| Property::new(format!("version.{what}"), version.as_str())),
    );
    properties.extend(
        model
            .lacks
            .iter()
            .map(|what| Property::new("lacks", what.as_str())),
    );
    properties
}

fn case(model: &Model, scenario: &ScenarioReport) -> TestCase {
    let mut case = TestCase::new(scenario.anchor(), status(scenario));
    case.set_classname(format!("meshproof.{}", scenario.plan.area));
    case.set_time(Duration::from_millis(scenario.end.wall_ms));
    case.set_assertions(scenario.checks.len());
    case.add_property(Property::new("title", clean(&scenario.plan.title)));
    case.add_property(Property::new("verdict", text::label(scenario.verdict())));
    case.add_property(Property::new("proves", scenario.plan.proves.join(",")));
    case.add_property(Property::new(
        "reproduce",
        clean(&model.reproduce(scenario)),
    ));
    let attachments: String = scenario
        .evidence_paths()
        .map(|path| format!("[[ATTACHMENT|{path}]]\n"))
        .collect();
    if !attachments.is_empty() {
        case.set_system_out(attachments);
    }
    case
}

fn status(scenario: &ScenarioReport) -> TestCaseStatus {
    let verdict = scenario.verdict();
    let mut status = match verdict {
        Verdict::Pass => return TestCaseStatus::success(),
        Verdict::Fail | Verdict::UnexpectedPass => {
            TestCaseStatus::non_success(NonSuccessKind::Failure)
        }
        Verdict::Error => TestCaseStatus::non_success(NonSuccessKind::Error),
        Verdict::Skip | Verdict::KnownFailure => TestCaseStatus::skipped(),
    };
    let cause = match &scenario.end.known {
        Some(link) => format!("{} ({link})", scenario.end.cause),
        None => scenario.end.cause.clone(),
    };
    // Readers group errors by type, here the class.
    let kind = scenario
        .end
        .class
        .map_or(text::label(verdict), ErrorClass::name);
    status.set_message(clean(&cause)).set_type(kind);
    let details = details(scenario);
    if !details.is_empty() {
        status.set_description(details);
    }
    status
}

/// Expected and actual of every check that contradicts the claim.
fn details(scenario: &ScenarioReport) -> String {
    let bad = scenario.checks.iter().filter(|check| text::is_bad(check));
    bad.map(|report| {
        let check = &report.check;
        let lines = format!(
            "step {}, {} / {}: {}\n  expected: {}\n  actual:   {}\n",
            report.step,
            check.probe,
            check.matcher,
            text::result(report),
            check.expected,
            check.actual
        );
        clean(&lines).into_owned()
    })
    .collect()
}
