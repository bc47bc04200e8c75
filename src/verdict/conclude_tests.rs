//! One table for the verdict that checks, errors and known failures lead to.

use rstest::rstest;

use super::{
    conclude::{Conclusion, scenario_verdict},
    known::Known,
    outcome::{
        Check,
        CheckResult::{self, *},
        Verdict,
    },
};
use crate::errors::{ErrorClass, Trouble};

fn check(probe: &str, result: CheckResult, contrast: bool) -> Check {
    Check {
        probe: probe.to_owned(),
        matcher: "status".to_owned(),
        expected: "OK".to_owned(),
        actual: "1×UNAVAILABLE".to_owned(),
        result,
        contrast,
        samples: 1,
        method: String::new(),
        alpha: None,
        class: None,
    }
}

fn known(cases: &[&str]) -> Known {
    Known {
        reason: "not implemented".to_owned(),
        link: "https://example.org/1".to_owned(),
        cases: cases.iter().map(ToString::to_string).collect(),
    }
}

#[rstest]
#[case::pass(&[("p", Holds, false), ("p", Refuted, true)], None, Verdict::Pass)]
#[case::fail(&[("p", Refuted, false), ("p", Refuted, true)], None, Verdict::Fail)]
#[case::vacuous(&[("p", Holds, false), ("p", Holds, true)], None, Verdict::Fail)]
#[case::open(&[("p", Undecided, false), ("p", Refuted, true)], None, Verdict::Error)]
#[case::open_contrast(&[("p", Holds, false), ("p", Undecided, true)], None, Verdict::Error)]
#[case::fail_beats_open(&[("p", Refuted, false), ("q", Undecided, false)], None, Verdict::Fail)]
#[case::nothing(&[], None, Verdict::Error)]
#[case::known(&[("p", Refuted, false)], Some(known(&[])), Verdict::KnownFailure)]
#[case::healed(&[("p", Holds, false)], Some(known(&[])), Verdict::UnexpectedPass)]
#[case::known_case(&[("p[a]", Refuted, false), ("p[b]", Holds, false)], Some(known(&["a"])), Verdict::KnownFailure)]
#[case::other_case(&[("p[a]", Refuted, false), ("p[b]", Refuted, false)], Some(known(&["a"])), Verdict::Fail)]
#[case::one_cell_healed(&[("p[a]", Refuted, false), ("p[b]", Holds, false)], Some(known(&["a", "b"])), Verdict::UnexpectedPass)]
#[case::known_does_not_cover_a_vacuous_contrast(&[("p", Refuted, false), ("p", Holds, true)], Some(known(&[])), Verdict::Fail)]
fn verdicts(
    #[case] checks: &[(&str, CheckResult, bool)],
    #[case] known: Option<Known>,
    #[case] expected: Verdict,
) {
    let checks: Vec<Check> = checks
        .iter()
        .map(|(probe, result, contrast)| check(probe, *result, *contrast))
        .collect();
    let Conclusion { verdict, cause, .. } = scenario_verdict(&checks, &[], known.as_ref());
    assert_eq!(verdict, expected, "{cause}");
    assert_eq!(cause.is_empty(), verdict == Verdict::Pass);
}

/// An ERROR is of class `harness` if no other cause is known.
#[rstest]
#[case::observations_do_not_suffice("status", None, ErrorClass::Harness)]
#[case::ledgers_disagree(crate::verdict::outcome::LEDGER, None, ErrorClass::Harness)]
#[case::calls_were_given_up(crate::verdict::outcome::CALL_TIMEOUT, None, ErrorClass::Harness)]
#[case::a_proxy_was_ended("status", Some(ErrorClass::Mesh), ErrorClass::Mesh)]
#[case::the_machine_stood_still(
    crate::verdict::outcome::LEDGER,
    Some(ErrorClass::Machine),
    ErrorClass::Machine
)]
fn an_undecided_check_says_whose_trouble_the_error_is(
    #[case] matcher: &str,
    #[case] explained: Option<ErrorClass>,
    #[case] class: ErrorClass,
) {
    let undecided = Check {
        matcher: matcher.to_owned(),
        class: explained,
        ..check("p", Undecided, false)
    };
    let error = scenario_verdict(&[check("p", Holds, false), undecided], &[], None);
    assert_eq!((error.verdict, error.class), (Verdict::Error, Some(class)));
    let fine = scenario_verdict(&[check("p", Holds, false)], &[], None);
    assert_eq!(fine.class, None);
}

#[test]
fn our_own_errors_come_before_everything() {
    let checks = [check("p", Refuted, false)];
    let errors = ["the caller pod never became ready", "x"];
    let errors = errors.map(|message| Trouble::new(message, ErrorClass::Mesh));
    let Conclusion { verdict, cause, .. } = scenario_verdict(&checks, &errors, None);
    assert_eq!(verdict, Verdict::Error);
    assert_eq!(cause, "the caller pod never became ready (and 1 more)");
}
