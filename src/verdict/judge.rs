//! Expectation × observation → checks.

use statistics::{Rates, largest_unseen};
use testbed::control::Observation;

use super::{
    agreement::agreement,
    answer,
    calls::Calls,
    expect::ResolvedExpect,
    judgement::Judgement,
    observations::Observations,
    outcome::{CALL_TIMEOUT, Check, CheckResult, LEDGER},
    text::percent,
};

/// Judges every matcher of one run of a probe. `probe` is its name in reports: `<probe>` or
/// `<probe>[<case>]`.
///
/// The result always has a [`LEDGER`] check. If it is undecided, the scenario is an ERROR, and so
/// it is with a [`CALL_TIMEOUT`] check.
pub fn judge(
    probe: &str,
    expect: &ResolvedExpect,
    seen: &Observations,
    rates: Rates,
) -> Vec<Check> {
    let calls = Calls::new(seen, expect.status().unwrap_or(0), expect.max_failed());
    let mut checks: Vec<Check> = expect
        .matchers
        .iter()
        .map(|matcher| {
            let mut judgement = matcher.judge(&calls, rates);
            if matcher.every_call() {
                judgement = with_power(judgement, rates);
            }
            let mut check = check(probe, matcher.name(), matcher.expected(), judgement);
            check.alpha = matcher.declares_rates().then_some(rates.alpha);
            check
        })
        .collect();
    let agree = "client and servers counted the same calls".to_owned();
    checks.push(check(probe, LEDGER, agree, agreement(&calls)));
    checks.extend(call_timeout(probe, seen));
    checks
}

/// Turns checks into those of a contrast: only the listed matchers, each of which must be refuted.
/// The ledger and call-timeout checks keep their meaning.
#[must_use]
pub fn as_contrast(checks: Vec<Check>, must_fail: &[String]) -> Vec<Check> {
    let ours = Check::is_ours;
    checks
        .into_iter()
        .filter(|check| ours(check) || must_fail.contains(&check.matcher))
        .map(|mut check| {
            check.contrast = !ours(&check);
            check
        })
        .collect()
}

/// Adds to a claim about every call how rare a fault may have been missed.
fn with_power(mut judgement: Judgement, rates: Rates) -> Judgement {
    let holds = judgement.result == CheckResult::Holds;
    if holds && judgement.samples > 1 && judgement.method.is_empty() {
        judgement.method = format!(
            "every call; a fault in {} or more of them is missed with probability at most {:e}",
            percent(largest_unseen(judgement.samples, rates.beta)),
            rates.beta
        );
    }
    judgement
}

fn call_timeout(probe: &str, seen: &Observations) -> Option<Check> {
    let given_up: Vec<&Observation> = seen.calls.iter().filter(|c| answer::given_up(c)).collect();
    let first = given_up.first()?;
    let judgement = Judgement {
        result: CheckResult::Undecided,
        actual: format!(
            "{} of {} calls were given up by the caller, first {}",
            given_up.len(),
            seen.calls.len(),
            first.call
        ),
        samples: seen.calls.len() as u64,
        method: String::new(),
    };
    let expected = "every call ends within the caller's time limit".to_owned();
    Some(check(probe, CALL_TIMEOUT, expected, judgement))
}

fn check(probe: &str, matcher: &str, expected: String, judgement: Judgement) -> Check {
    Check {
        probe: probe.to_owned(),
        matcher: matcher.to_owned(),
        expected,
        actual: judgement.actual,
        result: judgement.result,
        contrast: false,
        samples: judgement.samples,
        method: judgement.method,
        alpha: None,
        class: None,
    }
}
