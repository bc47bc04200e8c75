//! `meshproof report` and the reports of a run, from a script's point of view.

use rstest::rstest;

use crate::program::{meshproof, report_dir, text};

#[test]
fn report_writes_every_file_and_leaves_stdout_alone() {
    let dir = report_dir("six-verdicts");
    let output = meshproof(&["report"])
        .arg(dir.path())
        .output()
        .expect("it starts");
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.is_empty());
    assert!(
        text(&output.stderr).contains("1 passed, 1 failed"),
        "{output:?}"
    );
    for file in [
        "report.json",
        "junit.xml",
        "report.html",
        "summary.md",
        "conformance.yaml",
    ] {
        assert!(
            dir.path()
                .join(file)
                .metadata()
                .is_ok_and(|meta| meta.len() > 0),
            "{file}"
        );
    }
}

#[test]
fn report_writes_one_format_to_stdout() {
    let dir = report_dir("six-verdicts");
    let output = meshproof(&["report", "--json", "-"])
        .arg(dir.path())
        .output()
        .expect("it starts");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["schema"], 2);
    let summary = serde_json::json!({
        "pass": 1, "fail": 1, "error": 1, "skip": 1, "known": 1, "unexpected": 1,
        "error_classes": {}, "wall_ms": 35704
    });
    assert_eq!(report["summary"], summary);
    assert!(
        !dir.path().join("junit.xml").exists(),
        "only the requested output"
    );
}

#[test]
fn a_torn_log_renders_and_says_so() {
    let dir = report_dir("torn");
    let output = meshproof(&["report"])
        .arg(dir.path())
        .output()
        .expect("it starts");
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stderr).contains("incomplete"), "{output:?}");
}

/// A wrong argument is a usage error, not a failure.
#[rstest]
#[case("nope")]
#[case("")]
fn a_report_directory_that_is_none_is_2(#[case] below: &str) {
    let dir = tempfile::tempdir().expect("a directory");
    let output = meshproof(&["report"])
        .arg(dir.path().join(below))
        .output()
        .expect("it starts");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(text(&output.stderr).contains("--report-dir"), "{output:?}");
    assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 0);
}

#[rstest]
#[case::no_beginning(Some("{\"at_ms\":1,\"event\":\"note\",\"text\":\"x\"}\n"))]
#[case::newer(Some("{\"at_ms\":0,\"event\":\"run-started\",\"schema\":99}\n"))]
fn a_log_that_cannot_be_read_is_3_and_named(#[case] log: Option<&str>) {
    let dir = tempfile::tempdir().expect("a directory");
    if let Some(log) = log {
        std::fs::write(dir.path().join("events.jsonl"), log).expect("written");
    }
    let output = meshproof(&["report"])
        .arg(dir.path())
        .output()
        .expect("it starts");
    assert_eq!(output.status.code(), Some(3));
    let reported = text(&output.stderr);
    assert!(
        reported.starts_with("error: ") && reported.contains("events.jsonl"),
        "{reported}"
    );
    assert_eq!(
        std::fs::read_dir(dir.path()).expect("listed").count(),
        usize::from(log.is_some()),
        "no report may be written"
    );
}

/// The log contains what a server said, and its report is shown in a step of a workflow.
#[test]
fn a_report_on_stdout_says_the_same_and_steers_nobody() {
    let dir = report_dir("evil-text");
    let output = meshproof(&["report", "--json", "-"])
        .arg(dir.path())
        .env("GITHUB_ACTIONS", "true")
        .output()
        .expect("it starts");
    let page = text(&output.stdout);
    assert!(
        !page.contains("##[") && page.contains("##\\u005b"),
        "{page}"
    );
    let read: serde_json::Value = serde_json::from_str(&page).expect("JSON");
    assert!(read.to_string().contains("##[add-mask]"), "{read}");
}
