//! What a matcher says of a run, and the shape of those that see one call at a time.

use statistics::{Decision, InOrder};
use testbed::control::{Attempt, Observation};

use super::{answer::is_sample, calls::Calls, outcome::CheckResult, tally::Tally};

/// A test's last word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    pub result: CheckResult,
    pub actual: String,
    /// Calls the decision rests on.
    pub samples: u64,
    pub method: String,
}

impl Judgement {
    /// Joins what every test has: a latched decision, or the reason why there is none.
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

/// One statistical matcher at work. Calls that no application answered are no samples: `status`
/// judges them.
pub trait SequentialTest: Send {
    /// Sees a call; a decision once made stays.
    fn feed(&mut self, call: &Observation) -> Decision;
    /// Samples after which a decision is certain; `None` when the world (e.g. a single pod) makes
    /// it impossible.
    fn cap(&self) -> Option<u64>;
    /// What can be said now.
    fn conclude(&self) -> Judgement;
}

/// Holds when `good` is true of each call; the actual side is the distribution of `text`.
pub fn every(
    calls: &[&Observation],
    text: impl Fn(&Observation) -> String,
    good: impl Fn(&Observation) -> bool,
) -> Judgement {
    let tally: Tally = calls.iter().map(|call| text(call)).collect();
    let good = calls.iter().all(|call| good(call));
    exact(decide(calls.is_empty(), good), tally)
}

/// An exact check: no statistics behind it.
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

/// Every attempt that reached a server is good; none at all leaves it open.
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

/// Nothing seen says nothing.
pub fn decide(nothing: bool, good: bool) -> CheckResult {
    match (nothing, good) {
        (true, _) => CheckResult::Undecided,
        (false, true) => CheckResult::Holds,
        (false, false) => CheckResult::Refuted,
    }
}

/// Whether each of several things is good, and what was seen of it.
pub fn each(seen: impl Iterator<Item = (bool, String)>) -> Judgement {
    let (good, words): (Vec<bool>, Vec<String>) = seen.unzip();
    let result = decide(good.is_empty(), good.iter().all(|good| *good));
    exact(result, words.into_iter().collect::<Tally>())
}

/// The same test that the monitor fed while the calls ran, over the same calls in the same order.
pub fn concluded(mut test: Box<dyn SequentialTest>, calls: &Calls<'_>) -> Judgement {
    for call in in_order(&calls.seen.calls) {
        if is_sample(call, Some(&calls.seen.namespace)) {
            test.feed(call);
        }
    }
    test.conclude()
}

/// The calls in the order of their numbers, up to the first that is missing because the run was
/// cut.
fn in_order(calls: &[Observation]) -> Vec<&Observation> {
    let mut order = InOrder::default();
    let read = calls
        .iter()
        .flat_map(|call| order.push(call.index, call).collect::<Vec<_>>());
    read.collect()
}
