//! The calls of a run, with the attempts that servers counted for each.

use std::collections::BTreeMap;

use testbed::control::{Attempt, Observation};

use super::{
    answer,
    observations::Observations,
    pods::World,
    producer::{self, Producer},
};

/// The input of exact matchers: calls, with the attempts that servers counted for each.
pub struct Calls<'a> {
    pub seen: &'a Observations,
    /// Calls that are judged: without those that the caller gave up and those that pods of other
    /// namespaces answered.
    pub judged: Vec<&'a Observation>,
    pub attempts: BTreeMap<&'a str, Vec<&'a Attempt>>,
    /// The status without which a call counts as failed.
    pub expected: u32,
    /// Failed calls that the expectation permits.
    pub lost: u64,
}

impl<'a> Calls<'a> {
    pub fn new(seen: &'a Observations, expected: u32, lost: u64) -> Self {
        let mut attempts: BTreeMap<&str, Vec<&Attempt>> = BTreeMap::new();
        for attempt in &seen.attempts {
            attempts.entry(&attempt.call).or_default().push(attempt);
        }
        let judged = seen.own().filter(|call| !answer::given_up(call));
        Self {
            seen,
            judged: judged.collect(),
            attempts,
            expected,
            lost,
        }
    }

    /// What a sequential test needs to know about the pods.
    pub fn world(&self) -> World<'_> {
        World {
            pods: &self.seen.pods,
            busy: self.seen.busy_pod.as_deref(),
        }
    }

    pub fn attempts_of(&self, call: &Observation) -> &[&'a Attempt] {
        self.attempts
            .get(call.call.as_str())
            .map_or(&[], Vec::as_slice)
    }

    /// Who produced the status of a call.
    pub fn producer(&self, call: &Observation) -> Producer {
        producer::producer(call, self.attempts_of(call), &self.seen.way)
    }

    /// Whether the call failed, i.e. ended without the expected status.
    pub fn is_lost(&self, call: &Observation) -> bool {
        call.status.code != self.expected
    }

    /// Calls that matchers other than `status` look at. Failed calls that `max-failed` permits are
    /// no evidence against them.
    pub fn kept(&self) -> Vec<&'a Observation> {
        let lost = self.judged.iter().filter(|call| self.is_lost(call)).count() as u64;
        let excuse = lost <= self.lost;
        let kept = self.judged.iter().copied();
        kept.filter(|call| !(excuse && self.is_lost(call)))
            .collect()
    }
}
