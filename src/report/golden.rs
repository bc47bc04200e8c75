//! Renders golden event logs with every reporter. One table has the expected results for all
//! reporters.
//!
//! The logs are recorded from real runs by `scripts/golden`, with two exceptions: `torn` is a
//! recorded log without its last bytes, and `evil-text` is an attack that no run produces, written
//! by hand.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use rstest::rstest;

use super::{
    console::{Console, Detail, Line},
    jsonl,
    model::{Model, VerdictCounts},
    render,
    sink::{Sink, SinkOptions},
    text,
};
use crate::{event::Event, exit::Exit, output::Palette};

const LOGS: [&str; 9] = [
    "six-verdicts",
    "all-pass",
    "evil-text",
    "interrupted",
    "torn",
    "bring-up-failed",
    "repeated",
    "side-by-side",
    "error-class",
];

fn counts(
    pass: usize,
    fail: usize,
    error: usize,
    skip: usize,
    known: usize,
    unexpected: usize,
) -> VerdictCounts {
    VerdictCounts {
        pass,
        fail,
        error,
        skip,
        known,
        unexpected,
    }
}

/// Every line of every golden log.
pub(crate) fn lines() -> Vec<String> {
    let texts = LOGS.map(|name| std::fs::read_to_string(golden(name)).expect("readable"));
    let lines = texts.iter().flat_map(|text| text.lines());
    let whole = |line: &&str| serde_json::from_str::<Event>(line).is_ok();
    lines.filter(whole).map(str::to_owned).collect()
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/golden")
        .join(format!("{name}.jsonl"))
}

fn log(name: &str) -> jsonl::Log {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::copy(golden(name), dir.path().join(jsonl::FILE)).expect("copied");
    jsonl::read(dir.path()).expect("readable")
}

fn model(name: &str) -> Model {
    Model::from_events(&log(name).events)
}

/// The output on both streams of a terminal, marked by stream.
fn console(events: &[Event], detail: Detail, palette: Palette) -> String {
    let console = Console { palette, detail };
    let mut model = Model::default();
    let mut shown = String::new();
    for event in events {
        model.apply(event);
        match console.line(event, &model) {
            Some(Line::Result(line)) => shown.push_str(&format!("out| {line}\n")),
            Some(Line::Progress(line)) => shown.push_str(&format!("err| {line}\n")),
            None => {}
        }
    }
    model.settle();
    console
        .end(&model, Some(Path::new("out")))
        .lines()
        .for_each(|line| shown.push_str(&format!("out| {line}\n")));
    shown
}

#[rstest]
#[case("six-verdicts", counts(1, 1, 1, 1, 1, 1), Exit::Failed)]
#[case("all-pass", counts(1, 0, 0, 0, 0, 0), Exit::Ok)]
#[case("evil-text", counts(0, 1, 1, 0, 0, 0), Exit::Failed)]
#[case("interrupted", counts(1, 0, 1, 1, 0, 0), Exit::INTERRUPTED)]
#[case("torn", counts(1, 0, 1, 1, 0, 0), Exit::Error)]
#[case("bring-up-failed", counts(0, 0, 1, 0, 0, 0), Exit::Error)]
#[case("repeated", counts(2, 2, 0, 0, 0, 0), Exit::Failed)]
#[case("side-by-side", counts(1, 1, 0, 1, 0, 0), Exit::Failed)]
#[case("error-class", counts(0, 0, 1, 0, 0, 0), Exit::Error)]
fn every_reporter_tells_the_same_outcome(
    #[case] name: &str,
    #[case] expected: VerdictCounts,
    #[case] exit: Exit,
) {
    let log = log(name);
    let model = Model::from_events(&log.events);
    assert_eq!(log.torn, name == "torn");
    assert_eq!(model.counts(), expected);
    assert_eq!(model.exit(), exit);

    assert_json(&model, expected);
    assert_junit(&model, expected);
    assert_conformance(&model, expected);
    let line = text::counts(&model);
    let html = (render::HTML.render)(&model);
    assert!(html.contains(&line), "report.html");
    let sections = html.matches("<section id=").count();
    assert_eq!(sections, expected.total(), "report.html");
    let summary = (render::SUMMARY.render)(&model);
    assert!(summary.contains(&line), "summary.md");
    let console = console(&log.events, Detail::Normal, Palette::PLAIN);
    assert!(console.contains(&line), "console");
}

fn assert_json(model: &Model, expected: VerdictCounts) {
    let json: serde_json::Value =
        serde_json::from_str(&(render::JSON.render)(model)).expect("JSON");
    let field = |name: &str| {
        usize::try_from(json["summary"][name].as_u64().expect("a count")).expect("small")
    };
    let reported = counts(
        field("pass"),
        field("fail"),
        field("error"),
        field("skip"),
        field("known"),
        field("unexpected"),
    );
    assert_eq!(reported, expected, "report.json");
    let listed = |value: &serde_json::Value| value.as_array().map_or(0, Vec::len);
    let all = listed(&json["scenarios"]) + listed(&json["run"]["failures"]);
    assert_eq!(all, expected.total(), "report.json");
}

fn assert_junit(model: &Model, expected: VerdictCounts) {
    let text = (render::JUNIT.render)(model);
    let junit = quick_junit::Report::deserialize_from_str(&text).expect("JUnit");
    let reported = (junit.tests, junit.failures, junit.errors, junit.skipped);
    let failed = expected.fail + expected.unexpected;
    let skipped = expected.skip + expected.known;
    let expected = (expected.total(), failed, expected.error, skipped);
    assert_eq!(reported, expected, "junit.xml");
}

fn assert_conformance(model: &Model, expected: VerdictCounts) {
    let yaml: serde_json::Value =
        serde_yaml::from_str(&(render::CONFORMANCE.render)(model)).expect("YAML");
    let passed: u64 = yaml["profiles"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|p| ["core", "extended", "provisional"].map(|level| &p[level]))
        .filter(|part| !part.is_null())
        .map(|part| part["statistics"]["Passed"].as_u64().expect("a count"))
        .sum();
    assert_eq!(passed, expected.pass as u64, "conformance.yaml");
}

/// The events of the run itself, without those of its scenario.
#[test]
fn a_run_without_scenarios_is_no_success() {
    let log = log("all-pass");
    let of_the_run = |event: &Event| {
        let value = serde_json::to_value(event).expect("JSON");
        value.get("id").is_none()
    };
    let events: Vec<Event> = log.events.into_iter().filter(of_the_run).collect();
    let model = Model::from_events(&events);
    assert_eq!(model.counts().total(), 0);
    assert_eq!(model.exit(), Exit::NothingSelected);
}

#[rstest]
#[case("six-verdicts")]
#[case("evil-text")]
#[case("interrupted")]
#[case("bring-up-failed")]
#[case("repeated")]
#[case("side-by-side")]
#[case("error-class")]
fn reports_read_as_reviewed(#[case] name: &str) {
    let model = model(name);
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../fixtures/golden/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for rendering in render::ALL {
            let text = (rendering.render)(&model);
            let text = match rendering.file.ends_with(".html") {
                true => head_and_body(&text).1,
                false => &text,
            };
            insta::assert_snapshot!(format!("{name}.{}", rendering.file), text);
        }
        insta::assert_snapshot!(
            format!("{name}.console"),
            console(&log(name).events, Detail::Normal, Palette::PLAIN)
        );
    });
}

fn head_and_body(page: &str) -> (&str, &str) {
    let at = page.find("<body>").expect("a page");
    page.split_at(at)
}

/// Style and metadata of a page, which are the same for all pages.
#[test]
fn head_of_a_page_reads_as_reviewed() {
    let head = |name: &str| {
        let page = (render::HTML.render)(&model(name));
        let (head, _) = head_and_body(&page);
        let (before, rest) = head.split_once("<title>").expect("a title");
        let (_, after) = rest.split_once("</title>").expect("its end");
        format!("{before}<title>…</title>{after}")
    };
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../fixtures/golden/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("head.report.html", head("six-verdicts")));
    for name in LOGS {
        assert_eq!(head(name), head("six-verdicts"), "{name}");
    }
}

#[rstest]
#[case::quiet(Detail::Quiet, Palette::PLAIN)]
#[case::verbose_colour(Detail::Verbose, Palette { on: true })]
fn console_says_as_much_as_asked(#[case] detail: Detail, #[case] palette: Palette) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../fixtures/golden/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        let shown = console(&log("six-verdicts").events, detail, palette).replace('\u{1b}', "ESC");
        insta::assert_snapshot!(format!("console-{detail:?}").to_lowercase(), shown);
    });
}

#[test]
fn untrusted_text_steers_no_reader() {
    let log = log("evil-text");
    let model = Model::from_events(&log.events);
    let html = (render::HTML.render)(&model);
    for tag in [
        "<script",
        "<img",
        "<b>",
        "<i>phase",
        "<k>",
        "href=\"javascript:",
    ] {
        assert!(!html.contains(tag), "{tag} in report.html");
    }
    assert!(html.contains("default-src 'none'; style-src 'unsafe-inline'; img-src 'self' file:"));
    let reported = console(&log.events, Detail::Verbose, Palette::PLAIN);
    let summary = (render::SUMMARY.render)(&model);
    for page in [&html, &reported, &summary, &(render::JUNIT.render)(&model)] {
        let bad = page
            .chars()
            .find(|c| c.is_control() && *c != '\n' || *c == '\u{202e}');
        assert_eq!(bad, None, "{page}");
    }
    assert!(
        !summary.contains("\n# not a heading")
            && !summary.contains("@everyone")
            && !summary.contains("<script")
    );
}

/// A writer whose output a test can read.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("one thread").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn run_through_sink(
    events: &[Event],
    dir: &Path,
    options: SinkOptions,
) -> (super::Finished, String) {
    let shown = Shared::default();
    let options = SinkOptions {
        report_dir: Some(dir.to_owned()),
        ..options
    };
    let mut sink = Sink::with(options, Palette::PLAIN, Box::new(shown.clone())).expect("opened");
    events.iter().for_each(|event| sink.event(event));
    let finished = sink.finish();
    let shown = String::from_utf8(shown.0.lock().expect("one thread").clone()).expect("text");
    (finished, shown)
}

#[test]
fn every_log_renders_again_byte_for_byte() {
    for name in LOGS {
        let dir = tempfile::tempdir().expect("a directory");
        let (finished, _) = run_through_sink(&log(name).events, dir.path(), SinkOptions::default());
        assert!(finished.errors.is_empty(), "{name}: {:?}", finished.errors);
        let again = Model::from_events(&jsonl::read(dir.path()).expect("readable").events);
        assert_eq!(again, finished.model, "{name}");
        for rendering in render::ALL {
            let first = std::fs::read_to_string(dir.path().join(rendering.file)).expect("written");
            assert_eq!(
                (rendering.render)(&again),
                first,
                "{name}: {}",
                rendering.file
            );
        }
    }
}

#[test]
fn no_file_of_a_report_holds_a_registered_secret() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = SinkOptions::default();
    let secret = "RBAC: access denied";
    options.redactor.register(secret);
    let (_, shown) = run_through_sink(&log("six-verdicts").events, dir.path(), options);
    assert!(!shown.contains(secret) && shown.contains("***"), "{shown}");
    for entry in std::fs::read_dir(dir.path()).expect("listed") {
        let path = entry.expect("an entry").path();
        assert!(
            !std::fs::read_to_string(&path)
                .expect("text")
                .contains(secret),
            "{}",
            path.display()
        );
    }
}

#[test]
fn reports_that_cannot_be_written_never_turn_into_success() {
    let dir = tempfile::tempdir().expect("a directory");
    let log_of_before = std::fs::read_to_string(golden("all-pass")).expect("read");
    std::fs::write(dir.path().join(jsonl::FILE), log_of_before).expect("written");
    std::fs::create_dir(dir.path().join("junit.xml")).expect("in the way");
    let (finished, shown) =
        run_through_sink(&log("all-pass").events, dir.path(), SinkOptions::default());
    assert_eq!(
        (finished.exit, finished.model.exit()),
        (Exit::Error, Exit::Error)
    );
    assert!(
        finished
            .errors
            .iter()
            .any(|error| error.to_string().contains("junit.xml")),
        "{:?}",
        finished.errors
    );
    assert!(
        shown.contains("1 passed, 0 failed, 1 error") && shown.contains("ERROR reports: "),
        "{shown}"
    );
    assert!(
        !shown.contains("report:") && !dir.path().join("report.json").exists(),
        "a report exists that could be taken for a complete one: {shown}"
    );
}

#[test]
fn a_full_disk_is_told_and_changes_no_verdict() {
    for (name, verdicts, exit) in [
        ("all-pass", Exit::Ok, Exit::Error),
        ("six-verdicts", Exit::Failed, Exit::Failed),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        std::os::unix::fs::symlink("/dev/full", dir.path().join(jsonl::FILE)).expect("linked");
        let log = log(name);
        let (finished, _) = run_through_sink(&log.events, dir.path(), SinkOptions::default());
        let reported = Model::from_events(&log.events);
        assert_eq!((reported.exit(), finished.exit), (verdicts, exit), "{name}");
        assert_eq!(finished.model.scenarios, reported.scenarios);
        let reported = finished
            .errors
            .iter()
            .map(|error| crate::errors::chain(error))
            .collect::<String>();
        assert!(
            reported.contains("events.jsonl") && reported.contains("No space left"),
            "{reported}"
        );
    }
}

proptest! {
    /// Whatever text a server, a proxy or a suite file contains: reports stay well-formed and have
    /// the same numbers.
    #[test]
    fn any_text_in_any_place_keeps_reports_well_formed(text in any::<String>(), other in ".*<.*|\\PC*") {
        let replaced = std::fs::read_to_string(golden("evil-text")).expect("readable");
        let events = replaced.lines().map(|line| {
            let mut event: serde_json::Value = serde_json::from_str(line).expect("JSON");
            for name in ["title", "cause", "what", "error", "expected", "method", "profile", "caption"] {
                replace(&mut event, name, &text);
            }
            for name in ["actual", "mesh", "probe", "matcher", "area", "known"] {
                replace(&mut event, name, &other);
            }
            serde_json::from_value(event).expect("an event")
        });
        let events: Vec<Event> = events.collect();
        let model = Model::from_events(&events);
        let junit = quick_junit::Report::deserialize_from_str(&(render::JUNIT.render)(&model)).expect("JUnit");
        prop_assert_eq!((junit.tests, junit.failures, junit.errors), (2, 1, 1));
        let html = (render::HTML.render)(&model);
        prop_assert_eq!(html.matches("<script").count(), 0);
        prop_assert_eq!((html.matches("<section").count(), html.matches("</section>").count()), (2, 2));
        let summary = (render::SUMMARY.render)(&model);
        prop_assert_eq!(summary.lines().filter(|line| line.starts_with("| ")).count(), 3, "{}", summary);
        let shown = console(&events, Detail::Verbose, Palette::PLAIN);
        prop_assert!(!shown.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{:?}", shown);
    }
}

fn replace(value: &mut serde_json::Value, name: &str, text: &str) {
    if let Some(found) = value.get_mut(name).filter(|found| found.is_string()) {
        *found = text.into();
    }
    if let Some(check) = value.get_mut("check") {
        replace(check, name, text);
    }
}
