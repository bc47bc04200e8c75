//! What a matcher says of a run, and the shape of those that see one call at a time.

use statistics::Decision;
use testbed::control::Observation;

use super::{outcome::CheckResult, tally::Tally};

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

/// One statistical matcher at work. Calls that no application answered are no samples: `status` judges them.
pub trait Sequential: Send {
    /// Sees a call; a decision once made stays.
    fn feed(&mut self, call: &Observation) -> Decision;
    /// Samples after which a decision is certain; `None` when the world (e.g. a single pod) makes it impossible.
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
    let result = match calls {
        [] => CheckResult::Undecided,
        _ if calls.iter().all(|call| good(call)) => CheckResult::Holds,
        _ => CheckResult::Refuted,
    };
    exact(result, tally)
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
