//! Examples for users to copy: they parse, and this version accepts each of their command lines.

use std::path::Path;

use clap::Parser as _;
use meshproof::cli::Cli;
use rstest::rstest;
use serde_yaml::Value;

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    std::fs::read_to_string(&path).expect("it is in the repository")
}

fn workflow() -> Value {
    serde_yaml::from_str(&read("docs/examples/nightly.yml")).expect("it is YAML")
}

fn steps(job: &str) -> Vec<Value> {
    let steps = workflow()["jobs"][job]["steps"].clone();
    steps.as_sequence().expect("a job has steps").clone()
}

/// Every line of a text that runs meshproof, with GitHub's expressions substituted.
fn command_lines(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    let lines = lines.map(|line| line.strip_prefix("- run: ").unwrap_or(line));
    let ours = lines.filter(|line| line.starts_with("meshproof "));
    ours.map(|line| {
        let line = line.split(" #").next().unwrap_or(line).trim();
        line.replace("${{ matrix.istio }}", "1.28.0")
            .replace("${{ matrix.shard }}", "2/3")
    })
    .collect()
}

/// Splits these simple lines as a shell does.
fn message(line: &str) -> Vec<String> {
    line.split_whitespace()
        .map(|word| word.trim_matches('"').to_owned())
        .collect()
}

fn assert_taken(line: &str) {
    assert!(
        !line.contains("${{"),
        "expression without a substitution: {line}"
    );
    if let Err(error) = Cli::try_parse_from(message(line)) {
        panic!("{line}\n{error}");
    }
}

#[test]
fn the_nightly_workflow_runs_command_lines_that_are_taken() {
    let runs = steps("scenarios");
    let runs: Vec<&str> = runs
        .iter()
        .filter_map(|step| step["run"].as_str())
        .collect();
    let lines: Vec<String> = runs.iter().flat_map(|run| command_lines(run)).collect();
    for line in &lines {
        assert_taken(line);
    }
    for begin in [
        "meshproof doctor --target kind",
        "meshproof run --target kind --istio 1.28.0 --report-dir",
        "meshproof report",
    ] {
        assert!(
            lines
                .iter()
                .any(|line| message(line).join(" ").starts_with(begin)),
            "{lines:?}"
        );
    }
}

#[test]
fn what_the_text_about_ci_shows_is_taken() {
    let lines = command_lines(&read("docs/ci.md"));
    assert_eq!(lines.len(), 4, "{lines:?}");
    lines.iter().for_each(|line| assert_taken(line));
}

#[rstest]
#[case::not_a_flag("meshproof run --target kind --istio-version 1.28.0")]
#[case::not_a_target("meshproof doctor --target docker")]
fn a_line_that_is_not_taken_is_noticed(#[case] line: &str) {
    assert!(Cli::try_parse_from(message(line)).is_err());
}

#[test]
fn reports_are_uploaded_when_scenarios_fail() {
    let steps = steps("scenarios");
    let judged = steps.iter().position(|step| {
        let run = step["run"].as_str().unwrap_or_default();
        run.starts_with("meshproof run")
    });
    let (before, after) = steps.split_at(judged.expect("scenarios are run") + 1);
    assert!(after.len() >= 3, "reports, JUnit and everything");
    for step in after {
        assert_eq!(step["if"].as_str(), Some("always()"), "{step:?}");
    }
    // Nothing masks the exit code.
    let run = before.last().expect("it is the last");
    assert!(
        run["continue-on-error"].is_null() && !run["run"].as_str().unwrap_or("||").contains("||")
    );
    let uploaded: Vec<&str> = after
        .iter()
        .filter_map(|step| step["with"]["path"].as_str())
        .collect();
    assert_eq!(uploaded, ["out/report/junit.xml", "out/report/"]);
}

#[test]
fn artifacts_of_different_versions_have_different_names() {
    let steps = steps("scenarios");
    let uploads = steps.iter().filter(|step| {
        let uses = step["uses"].as_str().unwrap_or_default();
        uses.starts_with("actions/upload-artifact@")
    });
    let mut names: Vec<&str> = uploads
        .filter_map(|step| step["with"]["name"].as_str())
        .collect();
    assert!(
        names
            .iter()
            .all(|name| name.contains("${{ matrix.istio }}")),
        "{names:?}"
    );
    names.dedup();
    assert_eq!(names.len(), 2);
}

#[test]
fn actions_are_pinned_and_jobs_end() {
    let workflow = workflow();
    assert!(workflow["concurrency"]["group"].is_string());
    let jobs = workflow["jobs"].as_mapping().expect("jobs").clone();
    for (name, job) in jobs {
        assert!(job["timeout-minutes"].is_number(), "{name:?} may never end");
        let steps = job["steps"].as_sequence().expect("steps");
        for uses in steps.iter().filter_map(|step| step["uses"].as_str()) {
            let tag = uses.split_once('@').map_or("", |(_, tag)| tag);
            let major = tag
                .strip_prefix('v')
                .is_some_and(|n| n.parse::<u32>().is_ok());
            assert!(major, "{uses} is not pinned to a major version");
        }
    }
}
