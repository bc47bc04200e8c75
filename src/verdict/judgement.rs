//! The result of a matcher for one run, and the interface of matchers that see one call at a time.

use statistics::{Decision, InOrder};
use testbed::control::{Attempt, Observation};

use super::{answer::is_sample, calls::Calls, outcome::CheckResult, tally::Tally};

/// The result of a matcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    pub result: CheckResult,
    pub actual: String,
    /// The number of calls on which the decision is based.
    pub samples: u64,
    pub method: String,
}

impl Judgement {
    /// The result of a sequential test. `actual` says what was seen, or why there is no decision.
    pub fn of(decision: Decision, actual: String, samples: u64, method: String) -> Self {
        let result = match decision {
            Decision::Holds => CheckResult::Holds,
            Decision::Refuted => CheckResult::Refuted,
            Decision::Continue => CheckResult::Undecided,
        };
        Self {
            result,
            actual,
            samples,
            method,
        }
    }
}

/// The sequential test of a statistical matcher. Calls that no application answered are not
/// samples: `status` judges them.
pub trait SequentialTest: Send {
    /// Adds a call. A decision, once made, is final.
    fn feed(&mut self, call: &Observation) -> Decision;
    /// The number of samples after which the test has always decided; `None` if no decision is
    /// possible (e.g. with a single pod).
    fn cap(&self) -> Option<u64>;
    /// The result for the calls so far.
    fn conclude(&self) -> Judgement;
}

/// Holds if `good` is true for each call. `actual` is the distribution of `text`.
pub fn every(
    calls: &[&Observation],
    text: impl Fn(&Observation) -> String,
    good: impl Fn(&Observation) -> bool,
) -> Judgement {
    let tally: Tally = calls.iter().map(|call| text(call)).collect();
    let good = calls.iter().all(|call| good(call));
    exact(decide(calls.is_empty(), good), tally)
}

/// The result of an exact check, which needs no statistics.
pub fn exact(result: CheckResult, tally: Tally) -> Judgement {
    let samples = tally.total();
    let actual = if samples == 0 {
        "nothing was observed".to_owned()
    } else {
        tally.to_string()
    };
    Judgement {
        result,
        actual,
        samples,
        method: String::new(),
    }
}

/// Holds if `good` is true for every attempt that reached a server; undecided without any attempt.
pub fn every_attempt(
    calls: &Calls<'_>,
    text: impl Fn(&Attempt) -> String,
    good: impl Fn(&Attempt) -> bool,
) -> Judgement {
    let attempts = &calls.seen.attempts;
    let tally: Tally = attempts.iter().map(&text).collect();
    let mut judgement = exact(
        decide(attempts.is_empty(), attempts.iter().all(good)),
        tally,
    );
    if attempts.is_empty() {
        judgement.actual = "no attempt reached a server".to_owned();
    }
    judgement
}

/// Undecided if nothing was observed.
pub fn decide(nothing: bool, good: bool) -> CheckResult {
    match (nothing, good) {
        (true, _) => CheckResult::Undecided,
        (false, true) => CheckResult::Holds,
        (false, false) => CheckResult::Refuted,
    }
}

/// Holds if each of several things is good. `seen` has whether it is, and what was observed.
pub fn each(seen: impl Iterator<Item = (bool, String)>) -> Judgement {
    let (good, message): (Vec<bool>, Vec<String>) = seen.unzip();
    let result = decide(good.is_empty(), good.iter().all(|good| *good));
    exact(result, message.into_iter().collect::<Tally>())
}

/// The result of the same test that the monitor ran, with the same calls in the same order.
pub fn concluded(mut test: Box<dyn SequentialTest>, calls: &Calls<'_>) -> Judgement {
    for call in in_order(&calls.seen.calls) {
        if is_sample(call, Some(&calls.seen.namespace)) {
            test.feed(call);
        }
    }
    test.conclude()
}

/// The calls in the order of their numbers, up to the first that is missing because the run was
/// stopped early.
fn in_order(calls: &[Observation]) -> Vec<&Observation> {
    let mut order = InOrder::default();
    let read = calls
        .iter()
        .flat_map(|call| order.push(call.index, call).collect::<Vec<_>>());
    read.collect()
}
