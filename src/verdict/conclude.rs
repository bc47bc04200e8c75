//! Derives the verdict of a scenario from all its checks.

use super::{
    known::Known,
    outcome::{Check, CheckResult, LEDGER, Verdict},
};
use crate::errors::{ErrorClass, Trouble};

/// The verdict of a scenario, with its cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conclusion {
    pub verdict: Verdict,
    /// One line. Empty for PASS.
    pub cause: String,
    /// What is responsible for an ERROR.
    pub class: Option<ErrorClass>,
}

impl Conclusion {
    fn new(verdict: Verdict, cause: String) -> Self {
        let class = None;
        Self {
            verdict,
            cause,
            class,
        }
    }

    fn error(cause: String, class: ErrorClass) -> Self {
        let class = Some(class);
        Self {
            class,
            ..Self::new(Verdict::Error, cause)
        }
    }

    /// An ERROR because of an undecided check. If no other cause is known, the observations were
    /// insufficient.
    fn undecided(check: &Check, cause: String) -> Self {
        Self::error(cause, check.class.unwrap_or(ErrorClass::Harness))
    }
}

/// Returns the verdict of a scenario, with its cause.
///
/// Order: errors of the run, then untrustworthy observations (ledgers disagree, calls were given
/// up), then refuted claims, then contrasts that were not refuted, then undecided checks. So FAIL
/// always rests on trusted observations, and ERROR never hides a proven violation.
pub fn scenario_verdict(checks: &[Check], errors: &[Trouble], known: Option<&Known>) -> Conclusion {
    if let Some(first) = errors.first() {
        let cause = with_more(first.message.clone(), errors.len() - 1);
        return Conclusion::error(cause, first.class);
    }
    let undecided = |check: &&Check| check.result == CheckResult::Undecided;
    let ours = |check: &&Check| check.is_ours();
    if let Some(check) = checks.iter().filter(ours).find(undecided) {
        return Conclusion::undecided(check, line(check));
    }
    let claims = checks.iter().filter(|check| !check.contrast);
    let refuted: Vec<&Check> = claims
        .filter(|c| c.result == CheckResult::Refuted)
        .collect();
    let (expected, surprising): (Vec<&Check>, Vec<&Check>) = refuted
        .iter()
        .copied()
        .partition(|check| known.is_some_and(|known| covers(known, check)));
    if let Some(first) = surprising.first() {
        let cause = with_more(line(first), surprising.len() - 1);
        return Conclusion::new(Verdict::Fail, cause);
    }
    let vacuous = |check: &&Check| check.contrast && check.result == CheckResult::Holds;
    if let Some(check) = checks.iter().find(vacuous) {
        let cause = format!(
            "the contrast was not refuted: the check proves nothing ({})",
            line(check)
        );
        return Conclusion::new(Verdict::Fail, cause);
    }
    let open = checks.iter().filter(undecided);
    let open: Vec<&Check> = open
        .filter(|check| {
            check.contrast
                || !known.is_some_and(|known| covers(known, check))
                || expected.is_empty()
        })
        .collect();
    if let Some(first) = open.first() {
        return Conclusion::undecided(first, with_more(line(first), open.len() - 1));
    }
    match known {
        Some(known) => known_verdict(known, &expected, checks),
        None if checks.iter().all(|check| ours(&check)) => {
            Conclusion::error("nothing was checked".to_owned(), ErrorClass::Input)
        }
        None => Conclusion::new(Verdict::Pass, String::new()),
    }
}

fn covers(known: &Known, check: &Check) -> bool {
    let case = case(&check.probe).unwrap_or_default();
    if check.matcher == LEDGER {
        return false; // an answer from another namespace's pod is not the failure that is expected
    }
    known.cases.is_empty() || known.cases.iter().any(|known| known == case)
}

/// Judges a known failure. Every listed case must have failed, so that an entry cannot outlive its
/// reason.
fn known_verdict(known: &Known, expected: &[&Check], checks: &[Check]) -> Conclusion {
    let failed = |name: &str| {
        expected
            .iter()
            .any(|check| case(&check.probe) == Some(name))
    };
    let ran = |name: &str| checks.iter().any(|check| case(&check.probe) == Some(name));
    let healed: Vec<&str> = known
        .cases
        .iter()
        .map(String::as_str)
        .filter(|name| ran(name) && !failed(name))
        .collect();
    if expected.is_empty() || !healed.is_empty() {
        let what = match healed.as_slice() {
            [] => "the scenario".to_owned(),
            cases => format!("case {}", cases.join(", ")),
        };
        let cause = format!(
            "{what} is listed as a known failure ({}) but passes: remove the entry or narrow it",
            known.link
        );
        return Conclusion::new(Verdict::UnexpectedPass, cause);
    }
    let cause = format!("{} ({})", known.reason, known.link);
    Conclusion::new(Verdict::KnownFailure, cause)
}

/// Returns `<case>` of `<probe>[<case>]`.
pub fn case(probe: &str) -> Option<&str> {
    let (_, rest) = probe.split_once('[')?;
    rest.strip_suffix(']')
}

fn line(check: &Check) -> String {
    format!(
        "{}: {}: expected {}, saw {}",
        check.probe, check.matcher, check.expected, check.actual
    )
}

fn with_more(first: String, more: usize) -> String {
    match more {
        0 => first,
        1 => format!("{first} (and 1 more)"),
        n => format!("{first} (and {n} more)"),
    }
}
