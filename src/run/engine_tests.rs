use std::collections::BTreeSet;

use rstest::rstest;

use super::*;
use crate::{
    plan::{PlanOptions, plan},
    run::testing::{Stage, hopeless, scenarios},
    seed::Seed,
    verdict::Rates,
};

const OPTIONS: EngineOptions = EngineOptions {
    jobs: 1,
    fail_fast: false,
};

fn entries(scenarios: Vec<LoadedScenario>) -> Vec<PlanEntry> {
    let options = PlanOptions {
        rates: Rates::default(),
        seed: Seed::new(7),
        jobs: 1,
        alike: true,
    };
    plan(scenarios, options, Some(&BTreeSet::new())).entries
}

/// Runs these files and returns the events.
async fn reported(
    files: &[(&str, String)],
    options: EngineOptions,
    cancel: &CancellationToken,
) -> Vec<EventKind> {
    let root = tempfile::tempdir().expect("a directory");
    let entries = entries(scenarios(root.path(), files));
    let mut stage = Stage::new();
    run(&stage.ctx, &entries, &BTreeMap::new(), options, cancel).await;
    stage.reported()
}

fn ends(reported: &[EventKind]) -> Vec<(&str, Verdict, &str)> {
    let ends = reported.iter().filter_map(|kind| match kind {
        EventKind::ScenarioEnded(end) => Some((end.id.as_str(), end.verdict, end.cause.as_str())),
        _ => None,
    });
    ends.collect()
}

fn starts(reported: &[EventKind]) -> Vec<&str> {
    let starts = reported.iter().filter_map(|kind| match kind {
        EventKind::ScenarioStarted { id, .. } => Some(id.as_str()),
        _ => None,
    });
    starts.collect()
}

fn classes(reported: &[EventKind]) -> Vec<Option<ErrorClass>> {
    let classes = reported.iter().filter_map(|kind| match kind {
        EventKind::ScenarioEnded(end) => Some(end.class),
        _ => None,
    });
    classes.collect()
}

fn three() -> [(&'static str, String); 3] {
    ["a", "b", "c"].map(|name| (name, hopeless("")))
}

#[tokio::test]
async fn everything_is_planned_before_anything_begins() {
    let reported = reported(&three(), OPTIONS, &CancellationToken::new()).await;
    let planned = |kind: &EventKind| matches!(kind, EventKind::ScenarioPlanned { .. });
    assert!(reported[..3].iter().all(planned), "{reported:?}");
    assert!(!reported[3..].iter().any(planned), "{reported:?}");
}

#[tokio::test]
async fn a_scenario_that_cannot_be_made_is_an_error_and_the_others_go_on() {
    let reported = reported(&three(), OPTIONS, &CancellationToken::new()).await;
    assert_eq!(classes(&reported), [Some(ErrorClass::Input); 3]);
    let ends = ends(&reported);
    assert_eq!(ends.len(), 3);
    for (_, verdict, cause) in ends {
        assert_eq!(verdict, Verdict::Error);
        assert!(cause.contains("no workload file nowhere.yaml"), "{cause}");
    }
}

#[tokio::test]
async fn what_is_not_offered_is_skipped_with_its_reason_and_never_begun() {
    let files = [
        ("a", hopeless("")),
        ("b", hopeless("needs: [telemetry, gateway]\n")),
    ];
    let reported = reported(&files, OPTIONS, &CancellationToken::new()).await;
    assert_eq!(starts(&reported), ["area/a"]);
    let skipped = (
        "area/b",
        Verdict::Skip,
        "missing capabilities: telemetry, gateway",
    );
    assert!(ends(&reported).contains(&skipped), "{reported:?}");
    assert!(
        classes(&reported).contains(&None),
        "a skip has no error class"
    );
}

#[rstest]
#[case::one_at_a_time(1)]
#[case::two_at_a_time(2)]
#[tokio::test]
async fn fail_fast_begins_nothing_after_the_first_that_is_bad(#[case] jobs: usize) {
    let options = EngineOptions {
        jobs,
        fail_fast: true,
    };
    let files: Vec<(String, String)> = (0..9).map(|at| (format!("n{at}"), hopeless(""))).collect();
    let files: Vec<(&str, String)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.clone()))
        .collect();
    let reported = reported(&files, options, &CancellationToken::new()).await;
    let begun = starts(&reported).len();
    assert!((1..=jobs).contains(&begun), "{begun} started");
    assert_eq!(ends(&reported).len(), begun);
}

#[tokio::test]
async fn a_skip_is_nothing_bad() {
    let root = tempfile::tempdir().expect("a directory");
    let files = [("a", hopeless("needs: [telemetry]\n")), ("b", hopeless(""))];
    let mut entries = entries(scenarios(root.path(), &files));
    entries.sort_by_key(|entry| entry.action == PlanAction::Run);
    let mut stage = Stage::new();
    let options = EngineOptions {
        jobs: 1,
        fail_fast: true,
    };
    let cancel = CancellationToken::new();
    run(&stage.ctx, &entries, &BTreeMap::new(), options, &cancel).await;
    assert_eq!(starts(&stage.reported()), ["area/b"]);
}

#[rstest]
#[case::among_others(4)]
#[case::one_by_one(1)]
#[tokio::test]
async fn what_runs_alone_comes_last(#[case] jobs: usize) {
    let alone = hopeless("serial: true\n");
    let files = [
        ("a", alone.clone()),
        ("b", hopeless("")),
        ("c", hopeless("")),
        ("d", alone),
        ("e", hopeless("")),
    ];
    let options = EngineOptions { jobs, ..OPTIONS };
    let reported = reported(&files, options, &CancellationToken::new()).await;
    let order: Vec<(&str, bool)> = reported
        .iter()
        .filter_map(|kind| match kind {
            EventKind::ScenarioStarted { id, .. } => Some((id.as_str(), true)),
            EventKind::ScenarioEnded(end) => Some((end.id.as_str(), false)),
            _ => None,
        })
        .collect();
    let first = order
        .iter()
        .position(|(id, _)| ["area/a", "area/d"].contains(id))
        .expect("they ran");
    assert_eq!(
        first, 6,
        "the other three have started and ended: {order:?}"
    );
    // Each ends before the next begins.
    let after: Vec<bool> = order[first..].iter().map(|(_, start)| *start).collect();
    assert_eq!(after, [true, false, true, false]);
}

#[tokio::test]
async fn a_target_that_has_ended_makes_errors_of_what_was_not_begun() {
    let root = tempfile::tempdir().expect("a directory");
    let entries = entries(scenarios(root.path(), &three()));
    let mut stage = Stage::new();
    stage.lost.set("etcd ended".into());
    let cancel = CancellationToken::new();
    run(&stage.ctx, &entries, &BTreeMap::new(), OPTIONS, &cancel).await;
    let reported = stage.reported();
    assert!(starts(&reported).is_empty(), "{reported:?}");
    assert_eq!(classes(&reported), [Some(ErrorClass::Mesh); 3]);
    let ends = ends(&reported);
    assert_eq!(ends.len(), 3);
    for (_, verdict, cause) in ends {
        assert_eq!(
            (verdict, cause),
            (Verdict::Error, "not started: etcd ended")
        );
    }
}

#[tokio::test]
async fn a_cancelled_run_begins_nothing_and_says_nothing_of_the_rest() {
    let cancel = CancellationToken::new();
    cancel.cancel();
    let reported = reported(&three(), OPTIONS, &cancel).await;
    assert!(
        starts(&reported).is_empty() && ends(&reported).is_empty(),
        "{reported:?}"
    );
    assert_eq!(reported.len(), 3, "they were planned");
}

#[tokio::test]
async fn runs_of_one_scenario_are_told_apart_by_their_number() {
    let root = tempfile::tempdir().expect("a directory");
    let one = scenarios(root.path(), &[("a", hopeless(""))]);
    let entries = entries([one.clone(), one.clone(), one].concat());
    let mut stage = Stage::new();
    let cancel = CancellationToken::new();
    run(&stage.ctx, &entries, &BTreeMap::new(), OPTIONS, &cancel).await;
    let reported = stage.reported();
    let attempts = reported.iter().filter_map(|kind| match kind {
        EventKind::ScenarioEnded(end) => Some(end.attempt),
        _ => None,
    });
    assert_eq!(
        attempts.collect::<BTreeSet<u32>>(),
        BTreeSet::from([1, 2, 3])
    );
}
