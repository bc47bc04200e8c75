//! The calls of a run beside the attempts that servers counted for each.

use std::collections::BTreeMap;

use testbed::control::{Attempt, Observation};

use super::{
    answer,
    observations::Observations,
    pods::World,
    producer::{self, Producer},
};

/// What the exact matchers look at: calls beside the attempts that servers counted for each.
pub struct Calls<'a> {
    pub seen: &'a Observations,
    /// Calls that are judged: without those that the caller gave up, and those that strangers
    /// answered.
    pub judged: Vec<&'a Observation>,
    pub attempts: BTreeMap<&'a str, Vec<&'a Attempt>>,
    /// Status that a call must have to be no loss.
    pub wanted: u32,
    /// Losses that the expectation permits.
    pub lost: u64,
}

impl<'a> Calls<'a> {
    pub fn new(seen: &'a Observations, wanted: u32, lost: u64) -> Self {
        let mut attempts: BTreeMap<&str, Vec<&Attempt>> = BTreeMap::new();
        for attempt in &seen.attempts {
            attempts.entry(&attempt.call).or_default().push(attempt);
        }
        let judged = seen.own().filter(|call| !answer::given_up(call));
        Self {
            seen,
            judged: judged.collect(),
            attempts,
            wanted,
            lost,
        }
    }

    /// The pods as a sequential test has to know them.
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

    /// It did not end with the wanted status.
    pub fn is_lost(&self, call: &Observation) -> bool {
        call.status.code != self.wanted
    }

    /// Calls that matchers other than `status` look at: permitted losses are no evidence against
    /// them.
    pub fn kept(&self) -> Vec<&'a Observation> {
        let lost = self.judged.iter().filter(|call| self.is_lost(call)).count() as u64;
        let excuse = lost <= self.lost;
        let kept = self.judged.iter().copied();
        kept.filter(|call| !(excuse && self.is_lost(call)))
            .collect()
    }
}
