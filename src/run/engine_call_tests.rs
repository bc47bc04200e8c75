//! Tests of the engine with real calls: the test bed's callers and servers run in this process,
//! without a mesh.

use std::{collections::BTreeSet, time::Duration};

use rstest::rstest;
use tokio::time::{Instant, timeout};

use super::{
    context::CleanupPolicy,
    engine::EngineOptions,
    in_memory::{
        story::{OPTIONS, Play, story},
        world::World,
    },
};
use crate::{
    cluster::namespaces::KEPT_LABEL,
    scenario::known::Known,
    verdict::outcome::{CheckResult, Verdict},
};

/// Upper limit for everything in these tests.
const LIMIT: Duration = Duration::from_secs(60);

/// A contrast that is refuted as it must be, for scenarios that test something else.
const REFUTED: &str =
    "- contrast: {probe: fine, with: {script: {status: UNAVAILABLE}}, must-fail: [status]}";

/// Runs one scenario with these steps.
async fn verdict(steps: &str) -> (Verdict, String) {
    let world = World::start().await;
    let reported = Play::of(&world, vec![("a", story(&world, 1, "", steps))])
        .run()
        .await;
    let (verdict, cause) = reported.end();
    (verdict, cause.to_owned())
}

#[tokio::test]
async fn claim_that_holds_is_a_pass_with_its_counts() {
    let world = World::start().await;
    let steps = format!("- probe: fine\n{REFUTED}");
    let reported = Play::of(&world, vec![("a", story(&world, 1, "", &steps))])
        .run()
        .await;
    assert_eq!(reported.end(), (Verdict::Pass, ""));
    let samples = &reported.ends()[0].samples;
    assert_eq!((samples["calls"], samples["attempts"]), (6, 6));
}

#[rstest]
#[case::a_status("- probe: failing", "UNAVAILABLE")]
#[case::a_count("- probe: miscounted", "attempts")]
#[tokio::test]
async fn claim_that_is_refuted_is_a_failure(#[case] steps: &str, #[case] message: &str) {
    let (verdict, cause) = verdict(steps).await;
    assert_eq!(verdict, Verdict::Fail, "{cause}");
    assert!(cause.contains(message), "{cause}");
}

#[tokio::test]
async fn claims_after_one_that_is_refuted_are_judged_as_well() {
    let world = World::start().await;
    let steps = "- probe: failing\n- probe: fine";
    let reported = Play::of(&world, vec![("a", story(&world, 1, "", steps))])
        .run()
        .await;
    let results: BTreeSet<(&str, bool)> = reported
        .checks()
        .iter()
        .filter(|check| check.matcher == "status")
        .map(|check| (check.probe.as_str(), check.result == CheckResult::Holds))
        .collect();
    assert_eq!(
        results,
        BTreeSet::from([("failing", false), ("fine", true)])
    );
}

#[tokio::test]
async fn contrast_that_is_refuted_is_as_it_should_be() {
    let (verdict, cause) = verdict(&format!("{REFUTED}\n- probe: fine")).await;
    assert_eq!((verdict, cause.as_str()), (Verdict::Pass, ""));
}

#[tokio::test]
async fn contrast_that_is_not_refuted_proves_nothing_and_fails() {
    let steps = "- contrast: {probe: fine, must-fail: [status]}\n- probe: fine";
    let (verdict, cause) = verdict(steps).await;
    assert_eq!(verdict, Verdict::Fail, "{cause}");
    assert!(cause.contains("the check proves nothing"), "{cause}");
}

#[tokio::test]
async fn converge_fails_when_its_time_is_over() {
    let began = Instant::now();
    let steps = "- converge: {probe: failing, within: 5s}\n- probe: fine";
    let (verdict, cause) = verdict(steps).await;
    assert_eq!(verdict, Verdict::Fail, "{cause}");
    assert!(cause.contains("failing") && began.elapsed() > Duration::from_secs(5));
}

#[tokio::test]
async fn converge_ends_as_soon_as_its_claims_hold() {
    let world = World::start().await;
    let steps = "- configure-server: {workload: greeter, script: {status: UNAVAILABLE}}\n- converge: {probe: fine, within: 50s}";
    let play = Play::of(&world, vec![("a", story(&world, 1, "", steps))]);
    let healed = async {
        world
            .until("greeter", |attempt| attempt.status == Some(14))
            .await;
        world.heal("greeter").await;
    };
    let began = Instant::now();
    let (reported, ()) = tokio::join!(play.run(), healed);
    assert_eq!(reported.end(), (Verdict::Pass, ""));
    assert!(
        began.elapsed() < Duration::from_secs(40),
        "it went on waiting"
    );
    let unwanted = reported
        .checks()
        .into_iter()
        .filter(|check| check.result != CheckResult::Holds);
    assert_eq!(unwanted.count(), 0, "polls before the last give no verdict");
}

#[tokio::test]
async fn fail_fast_begins_nothing_after_a_failure() {
    let world = World::start().await;
    let stories = [
        ("a", "- probe: fine"),
        ("b", "- probe: failing"),
        ("c", "- probe: fine"),
        ("d", "- probe: fine"),
    ];
    let stories = stories.into_iter().zip([1, 3, 5, 7]);
    let stories = stories.map(|((name, steps), number)| (name, story(&world, number, "", steps)));
    let options = EngineOptions {
        jobs: 1,
        fail_fast: true,
    };
    let play = Play {
        options,
        ..Play::of(&world, stories.collect())
    };
    let reported = play.run().await;
    let verdicts = reported.verdicts();
    assert_eq!(verdicts.last(), Some(&("area/b", Verdict::Fail)));
    let failures = verdicts
        .iter()
        .filter(|(_, verdict)| *verdict == Verdict::Fail);
    assert_eq!(
        (failures.count(), reported.starts().len()),
        (1, verdicts.len())
    );
}

#[tokio::test]
async fn scenario_that_runs_alone_calls_nobody_before_all_others_have_ended() {
    let world = World::start().await;
    let alone = story(&world, 1, "serial: true\n", "- probe: fine");
    let others = [("b", 3), ("c", 5)]
        .map(|(name, number)| (name, story(&world, number, "", "- probe: fine")));
    let stories = [("a", alone)].into_iter().chain(others);
    let options = EngineOptions { jobs: 3, ..OPTIONS };
    let play = Play {
        options,
        ..Play::of(&world, stories.collect())
    };
    let reported = play.run().await;
    let verdicts = reported.verdicts();
    assert_eq!(
        (verdicts.len(), verdicts[2]),
        (3, ("area/a", Verdict::Pass))
    );
    assert_eq!(reported.starts()[2], "area/a");
}

#[tokio::test]
async fn scenarios_side_by_side_have_namespaces_and_calls_of_their_own() {
    let world = World::start().await;
    let stories = [("a", 1), ("b", 3), ("c", 5)];
    let stories = stories.map(|(name, number)| (name, story(&world, number, "", "- probe: fine")));
    let options = EngineOptions { jobs: 3, ..OPTIONS };
    let play = Play {
        options,
        ..Play::of(&world, stories.into())
    };
    let reported = play.run().await;
    let mut verdicts = reported.verdicts();
    verdicts.sort_by_key(|(id, _)| *id);
    let passed = ["area/a", "area/b", "area/c"].map(|id| (id, Verdict::Pass));
    assert_eq!(verdicts, passed);
    let calls = reported.ends().into_iter().map(|end| end.samples["calls"]);
    assert_eq!(calls.collect::<Vec<u64>>(), [3, 3, 3]);
}

#[tokio::test]
async fn cancelled_run_gives_up_the_calls_in_progress_and_no_verdict() {
    let world = World::start().await;
    let stories = vec![
        ("a", story(&world, 1, "", "- probe: hanging")),
        ("b", story(&world, 3, "", "- probe: fine")),
    ];
    let play = Play::of(&world, stories);
    let cancel = play.cancel.clone();
    let cancelled = async {
        world
            .until("greeter", |attempt| attempt.end == "running")
            .await;
        cancel.cancel();
    };
    let (reported, ()) = timeout(LIMIT, async { tokio::join!(play.run(), cancelled) })
        .await
        .expect("it ends");
    assert!(reported.ends().is_empty(), "{:?}", reported.ends());
    assert_eq!(reported.starts().len(), 1);
    world
        .until("greeter", |attempt| attempt.end == "cancelled")
        .await;
}

#[rstest]
#[case::after_a_pass("- probe: fine", Verdict::Pass, false, false)]
#[case::after_a_failure("- probe: failing", Verdict::Fail, false, false)]
#[case::after_an_error("- stop-background: {probe: fine}", Verdict::Error, false, false)]
#[case::kept_after_a_failure("- probe: failing", Verdict::Fail, true, true)]
#[case::kept_after_an_error("- stop-background: {probe: fine}", Verdict::Error, true, true)]
#[case::not_kept_after_a_pass("- probe: fine", Verdict::Pass, true, false)]
#[tokio::test]
async fn namespace_goes_with_its_scenario_unless_it_is_to_be_looked_at(
    #[case] steps: &str,
    #[case] verdict: Verdict,
    #[case] keep_failed: bool,
    #[case] stays: bool,
) {
    let world = World::start().await;
    let play = Play {
        keep_failed,
        ..Play::of(&world, vec![("a", story(&world, 1, "", steps))])
    };
    let reported = play.run().await;
    assert_eq!(reported.end().0, verdict, "{}", reported.end().1);
    let left = world.namespaces();
    assert_eq!(left.len(), usize::from(stays), "{left:?}");
    for name in left {
        let namespace = world
            .fake
            .get(&format!("/api/v1/namespaces/{name}"))
            .expect("it is there");
        assert!(
            namespace["metadata"]["labels"][KEPT_LABEL].is_string(),
            "{namespace}"
        );
    }
}

#[tokio::test]
async fn namespace_of_a_world_that_ends_with_the_run_is_left_to_it() {
    let world = World::start().await;
    let play = Play {
        cleanup: CleanupPolicy::WithTheWorld,
        ..Play::of(&world, vec![("a", story(&world, 1, "", "- probe: fine"))])
    };
    assert_eq!(play.run().await.end().0, Verdict::Pass);
    assert_eq!(world.namespaces().len(), 1);
}

#[tokio::test]
async fn runs_of_one_scenario_have_verdicts_of_their_own() {
    let world = World::start().await;
    let steps = "- probe: fine";
    let reported = Play::of(&world, vec![("a", story(&world, 1, "", steps))])
        .run_times(3)
        .await;
    let ends = reported.ends();
    let attempts: Vec<(u32, Verdict)> = ends.iter().map(|end| (end.attempt, end.verdict)).collect();
    assert_eq!(attempts, [1, 2, 3].map(|attempt| (attempt, Verdict::Pass)));
    assert!(ends.iter().all(|end| end.samples["calls"] == 3));
}

#[tokio::test]
async fn server_that_has_ended_is_an_error_and_no_failure() {
    let world = World::start().await;
    let steps = "- probe: fine\n- converge: {probe: failing, within: 30s}";
    let play = Play::of(&world, vec![("a", story(&world, 1, "", steps))]);
    let ended = async {
        world
            .until("greeter", |attempt| attempt.status == Some(14))
            .await;
        world.stop("greeter").await;
    };
    let (reported, ()) = tokio::join!(play.run(), ended);
    let (verdict, cause) = reported.end();
    assert_eq!(verdict, Verdict::Error, "{cause}");
    assert!(cause.contains("cannot reach port 15999"), "{cause}");
}

#[tokio::test]
async fn ledger_without_the_calls_that_were_answered_is_an_error() {
    let world = World::start().await;
    world.forget("greeter").await;
    let reported = Play::of(&world, vec![("a", story(&world, 1, "", "- probe: fine"))])
        .run()
        .await;
    let (verdict, cause) = reported.end();
    assert_eq!(verdict, Verdict::Error, "{cause}");
    assert!(cause.contains("ledger"), "{cause}");
}

#[rstest]
#[case::what_is_refuted_may_be_its_doing("- probe: failing", Verdict::Error, "stalled")]
#[case::what_holds_holds("- probe: fine", Verdict::Pass, "")]
#[tokio::test]
async fn server_that_stands_still_makes_an_error_of_a_failure(
    #[case] steps: &str,
    #[case] expected: Verdict,
    #[case] message: &str,
) {
    let world = World::start().await;
    world.node.hold("greeter");
    let play = Play::of(&world, vec![("a", story(&world, 1, "", steps))]);
    let released = async {
        world.node.is_asked().await;
        // The pause itself is under test: stalls of three seconds are noticed
        // (`guard::pulse::NOTICED`).
        tokio::time::sleep(Duration::from_millis(4_500)).await;
        world.node.release();
    };
    let (reported, ()) = tokio::join!(play.run(), released);
    let (verdict, cause) = reported.end();
    assert_eq!(verdict, expected, "{cause}");
    assert!(cause.contains(message), "{cause}");
}

#[tokio::test]
async fn control_call_that_fails_makes_an_error_of_a_failure() {
    let world = World::start().await;
    let stories = vec![("a", story(&world, 1, "", "- probe: failing"))];
    world.control_ends().await;
    let reported = Play::of(&world, stories).run().await;
    let (verdict, cause) = reported.end();
    assert_eq!(verdict, Verdict::Error, "{cause}");
    assert!(cause.contains("control call"), "{cause}");
}

#[tokio::test]
async fn step_that_fails_is_an_error_with_its_number_and_the_last() {
    let world = World::start().await;
    let steps = "- probe: fine\n- stop-background: {probe: fine}\n- probe: fine";
    let reported = Play::of(&world, vec![("a", story(&world, 1, "", steps))])
        .run()
        .await;
    let (verdict, cause) = reported.end();
    assert_eq!(verdict, Verdict::Error);
    assert!(cause.starts_with("step 2 ("), "{cause}");
    assert_eq!(
        reported.ends()[0].samples["calls"],
        3,
        "the third step was not started"
    );
}

#[rstest]
#[case::as_expected("- probe: failing", Verdict::KnownFailure)]
#[case::healed("- probe: fine", Verdict::UnexpectedPass)]
#[tokio::test]
async fn known_failure_is_told_from_one_that_is_no_more(
    #[case] steps: &str,
    #[case] expected: Verdict,
) {
    let world = World::start().await;
    let known = Known {
        reason: "a reason".into(),
        link: "https://example.test/1".into(),
        cases: Vec::new(),
    };
    let play = Play {
        known: [("area/a".to_owned(), known)].into(),
        ..Play::of(&world, vec![("a", story(&world, 1, "", steps))])
    };
    let reported = play.run().await;
    assert_eq!(reported.end().0, expected, "{}", reported.end().1);
    assert_eq!(
        reported.ends()[0].known.as_deref(),
        Some("https://example.test/1")
    );
}

#[tokio::test]
async fn background_is_judged_when_it_is_told_to_finish() {
    let world = World::start().await;
    let steps = "- background: failing\n- probe: fine\n- stop-background: {probe: failing}";
    let reported = Play::of(&world, vec![("a", story(&world, 1, "", steps))])
        .run()
        .await;
    let (verdict, cause) = reported.end();
    assert_eq!(verdict, Verdict::Fail, "{cause}");
    assert!(cause.contains("failing"), "{cause}");
}
