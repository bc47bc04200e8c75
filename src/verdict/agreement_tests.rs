//! Agreement of client and servers: ledgers, answers from other namespaces, and stalls.

use rstest::rstest;
use statistics::Rates;
use testbed::control::Stall;

use super::{
    conclude::{Conclusion, scenario_verdict},
    expect::ResolvedExpect,
    judge::{as_contrast, judge},
    known::Known,
    matcher::{
        Matcher, answered_by::AnsweredBy, attempts::Attempts, reaches_all::ReachesAll,
        status::Status, took::Took,
    },
    observations::Observations,
    outcome::{
        CheckResult::{self, *},
        Verdict,
    },
    testing::{NAMESPACE, answered, by, judged, one, order, result_of as result, uid},
};
use crate::values::range::{CountRange, DurationRange};

fn agreement(seen: &Observations) -> (CheckResult, String) {
    let check = judge("p", &ResolvedExpect::default(), seen, Rates::default()).remove(0);
    (check.result, check.actual)
}

#[test]
fn the_ledger_of_a_pod_that_was_taken_away_is_not_missed() {
    let mut seen = order("aab", 3);
    let gone = super::testing::pod_name(0);
    seen.attempts.retain(|attempt| attempt.pod != gone);
    assert_eq!(agreement(&seen).0, Undecided);
    seen.departed.insert(uid(&gone));
    assert_eq!(agreement(&seen).0, Holds);
}

#[test]
fn a_pod_that_has_only_the_name_of_one_that_is_gone_has_a_ledger_of_its_own() {
    let mut seen = order("aa", 1);
    seen.calls[1] = by(seen.calls[1].clone(), NAMESPACE, "restarted");
    let (result, message) = agreement(&seen);
    assert_eq!(result, Undecided, "{message}");
    seen.attempts[1].uid = "restarted".to_owned();
    assert_eq!(agreement(&seen).0, Holds);
}

/// A pod of another scenario with the same name as one of this scenario's pods. Its calls are in no
/// ledger of this scenario.
fn partly_by_a_stranger() -> Observations {
    let mut seen = order("aab", 2);
    for at in [0, 1] {
        seen.calls[at] = by(seen.calls[at].clone(), "mp-two", "theirs");
    }
    let ours = seen.calls[2].call.clone();
    seen.attempts.retain(|attempt| attempt.call == ours);
    seen.departed.insert("another".to_owned());
    seen
}

#[rstest]
#[case::claimed(Matcher::from(Status(0)))]
#[case::by_name(Matcher::from(AnsweredBy("greeter".to_owned())))]
#[case::counted(Matcher::from(Attempts(CountRange::parse("1").unwrap())))]
fn an_answer_of_a_stranger_is_told_and_counts_for_nothing(#[case] matcher: Matcher) {
    let seen = partly_by_a_stranger();
    let (result, message) = agreement(&seen);
    assert_eq!(result, Refuted);
    let reported = "2 of 3 calls were answered by pods outside the scenario's namespace, first by mp-two/greeter-a (uid theirs)";
    assert_eq!(message, reported);
    let checks = judged(vec![matcher], &seen);
    assert_eq!((checks[0].result, checks[0].samples), (Holds, 1));
    let contrast = as_contrast(checks.clone(), &["status".to_owned()]);
    for checks in [checks, contrast] {
        let known = Known {
            reason: "r".into(),
            link: "l".into(),
            cases: Vec::new(),
        };
        for known in [None, Some(&known)] {
            let Conclusion { verdict, cause, .. } = scenario_verdict(&checks, &[], known);
            assert_eq!(verdict, Verdict::Fail);
            assert!(cause.contains("mp-two/greeter-a"), "{cause}");
        }
    }
}

#[test]
fn a_claim_about_pods_does_not_rest_on_a_strangers_answers() {
    let seen = partly_by_a_stranger();
    let (result, message) = result(Matcher::from(ReachesAll("greeter".to_owned())), &seen);
    assert_eq!(result, Undecided, "{message}");
    assert!(
        message.starts_with("1 of 2 pods answered 1 calls"),
        "{message}"
    );
}

/// One call of 1.5 s where the limit is 1 s. The caller stalls for `stalled_ms` in the middle of
/// the call.
fn took_while_stalled(span: &str, stalled_ms: u64) -> (CheckResult, String) {
    let mut call = answered(0, "greeter-a", "greeter");
    (call.sent_us, call.end_us) = (1_000, 1_501_000);
    let mut seen = one(call);
    if stalled_ms > 0 {
        seen.stalls.caller.push(Stall {
            at_us: 200_000,
            for_us: stalled_ms * 1000,
        });
    }
    result(
        Matcher::from(Took(DurationRange::parse(span).unwrap())),
        &seen,
    )
}

#[rstest]
#[case::no_stall("..1s", 0, Refuted)]
#[case::too_short_a_stall("..1s", 300, Refuted)]
#[case::long_enough("..1s", 600, Undecided)]
#[case::too_early_is_no_stall("2s..", 600, Refuted)]
#[case::in_time_all_the_same("1s..2s", 600, Holds)]
fn a_stall_of_ours_leaves_a_late_call_open(
    #[case] span: &str,
    #[case] stalled_ms: u64,
    #[case] expected: CheckResult,
) {
    let (result, message) = took_while_stalled(span, stalled_ms);
    assert_eq!(result, expected, "{message}");
    let reported = message.contains("this machine stalled for 600 ms (noticed by the caller)");
    assert_eq!(reported, expected == Undecided, "{message}");
}

#[test]
fn one_late_call_without_a_stall_is_enough() {
    let mut seen = order("ab", 2);
    for (call, end_us) in seen.calls.iter_mut().zip([1_501_000, 3_002_000]) {
        (call.sent_us, call.end_us) = (end_us - 1_500_000, end_us);
    }
    seen.stalls.caller.push(Stall {
        at_us: 200_000,
        for_us: 600_000,
    });
    let matcher = Matcher::from(Took(DurationRange::parse("..1s").unwrap()));
    assert_eq!(result(matcher, &seen).0, Refuted);
}
