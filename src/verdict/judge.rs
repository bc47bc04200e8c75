//! Expectation × observation → checks.

use statistics::{Rates, largest_unseen};
use testbed::control::Observation;

use super::{
    call::{self, Calls},
    config, detects,
    expect::{Matcher, ResolvedExpect, percent},
    ledger, moved,
    outcome::{Check, CheckResult},
    seen::{self, Seen},
    sequential::{Judgement, decider, in_order},
    stream, telemetry,
};

/// Check that client and server ledgers agree; no field of `Expect`, always judged.
pub const LEDGER: &str = "ledger";
/// Check that no call ran into the caller's own limit; only there when one did.
pub const PATIENCE: &str = "patience";

/// Judges every matcher of one run of a probe. `probe` is the name in reports, `<probe>` or `<probe>[<cell>]`.
///
/// The result always has a [`LEDGER`] check; an undecided one makes the scenario an ERROR, as does [`PATIENCE`].
pub fn judge(probe: &str, expect: &ResolvedExpect, seen: &Seen, rates: Rates) -> Vec<Check> {
    let calls = Calls::new(seen, expect.status().unwrap_or(0), expect.lost());
    let mut checks: Vec<Check> = expect
        .matchers
        .iter()
        .map(|matcher| {
            let judgement = one(matcher, &calls, rates);
            let mut check = check(probe, matcher.name(), matcher.expected(), judgement);
            check.alpha = matcher.declares_rates().then_some(rates.alpha);
            check
        })
        .collect();
    let agree = "client and servers counted the same calls".to_owned();
    checks.push(check(probe, LEDGER, agree, ledger::agreement(&calls)));
    checks.extend(patience(probe, seen));
    checks
}

/// Turns checks into those of a contrast: only the listed matchers, each of which must be refuted. Agreement of the ledgers
/// and patience are still wanted as they are.
#[must_use]
pub fn as_contrast(checks: Vec<Check>, refutes: &[String]) -> Vec<Check> {
    let ours = |check: &Check| check.matcher == LEDGER || check.matcher == PATIENCE;
    checks
        .into_iter()
        .filter(|check| ours(check) || refutes.contains(&check.matcher))
        .map(|mut check| {
            check.contrast = !ours(&check);
            check
        })
        .collect()
}

fn one(matcher: &Matcher, calls: &Calls<'_>, rates: Rates) -> Judgement {
    let exact = call::judge(matcher, calls)
        .or_else(|| ledger::judge(matcher, calls))
        .map(|judgement| with_power(judgement, rates))
        .or_else(|| stream::judge(matcher, calls))
        .or_else(|| moved::judge(matcher, calls, rates))
        .or_else(|| telemetry::judge(matcher, calls, rates))
        .or_else(|| config::judge(matcher, calls))
        .or_else(|| detects::judge(matcher, calls, rates));
    exact.unwrap_or_else(|| statistical(matcher, calls, rates))
}

/// Says how rare a fault a claim about every call may have overlooked.
fn with_power(mut judgement: Judgement, rates: Rates) -> Judgement {
    let holds = judgement.result == CheckResult::Holds;
    if holds && judgement.samples > 1 && judgement.method.is_empty() {
        judgement.method = format!(
            "every call; a fault in {} of them or more would have been seen but for {:e}",
            percent(largest_unseen(judgement.samples, rates.beta)),
            rates.beta
        );
    }
    judgement
}

/// The same test that the monitor fed while the calls ran, over the same calls in the same order.
fn statistical(matcher: &Matcher, calls: &Calls<'_>, rates: Rates) -> Judgement {
    let busy = calls.seen.busy_pod.as_deref();
    let Some(mut test) = decider(matcher, &calls.seen.pods, busy, rates) else {
        unreachable!("{} is neither exact nor statistical", matcher.name());
    };
    for call in in_order(&calls.seen.calls) {
        if seen::stranger(call, &calls.seen.namespace).is_none() {
            test.feed(call);
        }
    }
    test.conclude()
}

fn patience(probe: &str, seen: &Seen) -> Option<Check> {
    let given_up: Vec<&Observation> = seen.calls.iter().filter(|c| seen::given_up(c)).collect();
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
    let expected = "every call ends within the caller's patience".to_owned();
    Some(check(probe, PATIENCE, expected, judgement))
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
    }
}
