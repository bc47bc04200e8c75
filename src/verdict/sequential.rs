//! Tests that see one call at a time and stop as soon as they can tell.

use testbed::control::Observation;

use super::{
    busy::AvoidsBusy,
    coverage::ReachesAll,
    cycle::{RandomOrder, RoundRobin},
    even::Even,
    expect::{Matcher, ResolvedExpect},
    outcome::CheckResult,
    pinned::{Pinned, Sticky},
    seen::{Pods, given_up},
    share::Share,
    stats::Rates,
};
use crate::scenario::model::SpreadPolicy;

/// What a test says after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Continue,
    Holds,
    Refuted,
}

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

/// The test of a statistical matcher; `None` for exact ones.
pub fn decider(
    matcher: &Matcher,
    pods: &Pods,
    busy: Option<&str>,
    rates: Rates,
) -> Option<Box<dyn Sequential>> {
    Some(match matcher {
        Matcher::ReachesAll(app) => Box::new(ReachesAll::new(app, pods, rates)),
        Matcher::Pinned(wanted) => Box::new(Pinned::new(*wanted, pods, rates)),
        Matcher::StickyBy(_) => Box::new(Sticky::new(pods, rates)),
        Matcher::Share(shares) => Box::new(Share::new(shares, rates)),
        Matcher::Spread { over, policy } => match policy {
            SpreadPolicy::Even => Box::new(Even::new(over, pods, rates)),
            SpreadPolicy::RoundRobin => Box::new(RoundRobin::new(over, pods, rates)),
            SpreadPolicy::Random => Box::new(RandomOrder::new(over, pods, rates)),
            SpreadPolicy::AvoidsBusy => Box::new(AvoidsBusy::new(over, pods, busy, rates)),
        },
        _ => return None,
    })
}

/// All statistical matchers of one probe, fed while the calls run, so that the caller can be stopped early.
pub struct Monitor {
    tests: Vec<(Box<dyn Sequential>, Decision)>,
    /// Exact matchers beside them look at every call, but ask for none.
    calls: u64,
}

impl Monitor {
    pub fn new(expect: &ResolvedExpect, pods: &Pods, busy: Option<&str>, rates: Rates) -> Self {
        let tests = expect.matchers.iter();
        let tests = tests.filter_map(|matcher| decider(matcher, pods, busy, rates));
        Self {
            tests: tests.map(|test| (test, Decision::Continue)).collect(),
            calls: 0,
        }
    }

    /// Sees a call. True: every statistical matcher has decided, so the run may stop. Always false without any.
    pub fn feed(&mut self, call: &Observation) -> bool {
        if given_up(call) {
            return false;
        }
        self.calls += 1;
        for (test, decision) in &mut self.tests {
            if *decision == Decision::Continue {
                *decision = test.feed(call);
            }
        }
        !self.tests.is_empty()
            && self
                .tests
                .iter()
                .all(|(_, decision)| *decision != Decision::Continue)
    }

    /// Calls after which every test has decided on these pods; `None` without statistical matchers.
    pub fn cap(&self) -> Option<u64> {
        self.tests.iter().filter_map(|(test, _)| test.cap()).max()
    }
}
