//! The statistical matchers of a probe at work while its calls run: so that it stops as soon as
//! they can tell.

use statistics::{Decision, InOrder, Rates, calls_to_see};
use testbed::control::Observation;

use super::{
    answer::is_sample,
    expect::ResolvedExpect,
    judgement::SequentialTest,
    pods::{Pods, World},
};

/// The share of calls that an exact claim ("every call …") must be able to see before a run may end
/// early.
///
/// Beside a claim that a few calls decide, such as `reaches-all`, a run would otherwise stop after
/// a handful.
pub const SEEN_SHARE: f64 = 0.1;

/// Calls that an exact matcher beside a statistical one looks at, at least, unless the probe says
/// how many it makes.
pub fn exact_floor(expect: &ResolvedExpect, rates: Rates) -> u64 {
    let exact = expect
        .matchers
        .iter()
        .any(|matcher| !matcher.is_statistical());
    if exact {
        calls_to_see(SEEN_SHARE, rates.beta)
    } else {
        0
    }
}

/// All statistical matchers of one probe, fed while the calls run, so that the caller can be
/// stopped early.
///
/// Calls are read in the order of their numbers ([`InOrder`]), whatever the order in which they
/// end.
pub struct Monitor {
    /// Of the scenario, where strangers are told apart.
    namespace: Option<String>,
    tests: Vec<(Box<dyn SequentialTest>, Decision)>,
    order: InOrder<usize>,
    read: u64,
    floor: u64,
}

impl Monitor {
    pub fn new(expect: &ResolvedExpect, pods: &Pods, busy: Option<&str>, rates: Rates) -> Self {
        let world = World { pods, busy };
        let tests = expect.matchers.iter();
        let tests = tests.filter_map(|matcher| matcher.sequential(&world, rates));
        Self {
            tests: tests.map(|test| (test, Decision::Continue)).collect(),
            order: InOrder::default(),
            read: 0,
            floor: exact_floor(expect, rates),
            namespace: None,
        }
    }

    /// Answers of pods of other namespaces are no samples.
    #[must_use]
    pub fn of_namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// Sees the last of `calls`, which are all that have ended. True: every statistical matcher has
    /// decided and exact ones have seen enough, so the run may stop. Always false without any
    /// statistical matcher.
    pub fn feed(&mut self, calls: &[Observation]) -> bool {
        let Some(newest) = calls.last() else {
            return false;
        };
        for at in self.order.push(newest.index, calls.len() - 1) {
            let call = &calls[at];
            if !is_sample(call, self.namespace.as_deref()) {
                continue;
            }
            self.read += 1;
            for (test, decision) in &mut self.tests {
                if *decision == Decision::Continue {
                    *decision = test.feed(call);
                }
            }
        }
        let open = |(_, decision): &(_, Decision)| *decision == Decision::Continue;
        !self.tests.is_empty() && self.read >= self.floor && !self.tests.iter().any(open)
    }

    /// Calls after which every test has decided on these pods; `None` without statistical matchers.
    pub fn cap(&self) -> Option<u64> {
        self.tests.iter().filter_map(|(test, _)| test.cap()).max()
    }
}
