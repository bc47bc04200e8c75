//! Runs the statistical matchers of a probe while its calls run, so that the probe stops as soon as
//! they have decided.

use statistics::{Decision, InOrder, Rates, calls_to_see};
use testbed::control::Observation;

use super::{
    answer::is_sample,
    expect::ResolvedExpect,
    judgement::SequentialTest,
    matcher::Matcher,
    pods::{Pods, World},
};

/// The smallest faulty share of calls that an exact claim ("every call …") must detect before a run
/// may end early.
///
/// Otherwise, a claim that a few calls decide, such as `reaches-all`, would stop the run after a
/// handful of calls.
pub const SEEN_SHARE: f64 = 0.1;

/// The minimum number of calls that an exact matcher next to a statistical one looks at, unless the
/// probe sets `times`.
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
/// ended.
pub struct Monitor {
    /// The scenario's namespace, if answers from other namespaces are left out.
    namespace: Option<String>,
    tests: Vec<(Box<dyn SequentialTest>, Decision)>,
    /// In a contrast: exact matchers that no call has refuted yet.
    unrefuted: Vec<Matcher>,
    /// Whether exact matchers cannot be judged while calls run.
    blind: bool,
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
            unrefuted: Vec::new(),
            blind: true,
        }
    }

    /// The monitor of a contrast, which stops as soon as everything that must fail has failed.
    pub fn of_contrast(
        expect: &ResolvedExpect,
        must_fail: &[String],
        pods: &Pods,
        busy: Option<&str>,
        rates: Rates,
    ) -> Self {
        let watched = expect.only(must_fail);
        let mut monitor = Self::new(&watched, pods, busy, rates);
        // Where some calls may fail, no single one refutes anything.
        if expect.max_failed() == 0 && !watched.matchers.is_empty() {
            let exact = watched.matchers.into_iter();
            monitor.unrefuted = exact.filter(|one| !one.is_statistical()).collect();
            monitor.blind = false;
        }
        monitor
    }

    /// Answers from pods of other namespaces are then not samples.
    #[must_use]
    pub fn of_namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// Adds the last of `calls`, which are all calls that have ended. Returns true if every
    /// statistical matcher has decided and exact ones have seen enough, so that the run may stop.
    /// Always false without a statistical matcher, except in a contrast.
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
            let blind = &mut self.blind;
            self.unrefuted.retain(|matcher| {
                let refuted = matcher.is_refuted_by(call);
                *blind |= refuted.is_none();
                refuted == Some(false)
            });
            for (test, decision) in &mut self.tests {
                if *decision == Decision::Continue {
                    *decision = test.feed(call);
                }
            }
        }
        let open = |(_, decision): &(_, Decision)| *decision == Decision::Continue;
        let decided = self.unrefuted.is_empty() && (!self.blind || !self.tests.is_empty());
        decided && self.read >= self.floor && !self.tests.iter().any(open)
    }

    /// The number of calls after which every test has decided; `None` without statistical matchers.
    pub fn cap(&self) -> Option<u64> {
        self.tests.iter().filter_map(|(test, _)| test.cap()).max()
    }
}
