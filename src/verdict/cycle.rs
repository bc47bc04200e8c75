//! Orders of answers: `round-robin` (strict turn) and `random` (independent draws).
//!
//! Envoy's round robin keeps one index per worker thread, and a connection belongs to one worker, so that the calls of *one*
//! connection, one at a time, take strict turns. Independent draws imitate N pods in strict turn over n calls with
//! probability (N!/N^N) N^-(n-N).

use std::collections::BTreeSet;

use testbed::control::Observation;

use super::{
    seen::{self, Pods},
    sequential::{Decision, Judgement, Sequential},
    stats::{Rates, coverage_size, cycle_size},
    tally::Tally,
};

/// The sequence of answering pods, and where it first left strict turn.
struct Order {
    over: String,
    members: BTreeSet<String>,
    sequence: Vec<String>,
    broken_at: Option<usize>,
}

impl Order {
    fn new(over: &str, pods: &Pods) -> Self {
        Self {
            over: over.to_owned(),
            members: pods.get(over).into_iter().flatten().cloned().collect(),
            sequence: Vec::new(),
            broken_at: None,
        }
    }

    fn feed(&mut self, pod: &str) {
        let turn = self.members.len();
        let at = self.sequence.len();
        let in_turn = match at.checked_sub(turn) {
            Some(last_turn) => self.sequence[last_turn] == pod,
            None => !self.sequence.iter().any(|earlier| earlier == pod),
        };
        if !in_turn || !self.members.contains(pod) {
            self.broken_at.get_or_insert(at);
        }
        self.sequence.push(pod.to_owned());
    }

    fn samples(&self) -> u64 {
        self.sequence.len() as u64
    }

    fn unseen(&self) -> usize {
        let reached: BTreeSet<&String> = self.sequence.iter().collect();
        self.members
            .iter()
            .filter(|pod| !reached.contains(pod))
            .count()
    }

    /// The calls around the first break, by the pods' last name parts.
    fn around_break(&self) -> String {
        let Some(at) = self.broken_at else {
            return format!("strict turn over {} calls", self.sequence.len());
        };
        let from = at.saturating_sub(self.members.len());
        let names: Vec<&str> = self.sequence[from..=at]
            .iter()
            .map(|pod| pod.rsplit('-').next().unwrap_or(pod))
            .collect();
        let tally: Tally = self.sequence.iter().cloned().collect();
        format!(
            "out of turn at call {}: … {} ({tally})",
            at + 1,
            names.join(" ")
        )
    }

    fn too_few_pods(&self) -> Option<String> {
        (self.members.len() < 2).then(|| {
            format!(
                "{} pods of {} are known: any order is the same",
                self.members.len(),
                self.over
            )
        })
    }
}

/// Strict turn.
pub struct RoundRobin {
    order: Order,
    size: u64,
    beta: f64,
    decision: Decision,
}

impl RoundRobin {
    pub fn new(over: &str, pods: &Pods, rates: Rates) -> Self {
        let order = Order::new(over, pods);
        let endpoints = order.members.len() as u64;
        Self {
            size: if endpoints > 1 {
                cycle_size(endpoints, rates.beta)
            } else {
                0
            },
            order,
            beta: rates.beta,
            decision: Decision::Continue,
        }
    }
}

impl Sequential for RoundRobin {
    fn feed(&mut self, call: &Observation) -> Decision {
        let (Decision::Continue, Some(pod)) = (self.decision, seen::pod(call)) else {
            return self.decision;
        };
        if self.order.members.len() < 2 {
            return self.decision;
        }
        self.order.feed(pod);
        if self.order.broken_at.is_some() {
            self.decision = Decision::Refuted;
        } else if self.order.samples() >= self.size {
            self.decision = Decision::Holds;
        }
        self.decision
    }

    fn cap(&self) -> Option<u64> {
        (self.size > 0).then_some(self.size)
    }

    fn conclude(&self) -> Judgement {
        let mut actual = self
            .order
            .too_few_pods()
            .unwrap_or_else(|| self.order.around_break());
        if self.decision == Decision::Continue && self.size > 0 {
            actual += &format!("; chance is ruled out after {}", self.size);
        }
        let method = format!(
            "sequence over {} pods, {} calls, beta {:e}",
            self.order.members.len(),
            self.size,
            self.beta
        );
        Judgement::of(self.decision, actual, self.order.samples(), method)
    }
}

/// Neither in strict turn nor starved; half of alpha for each way to be wrong.
pub struct RandomOrder {
    order: Order,
    turn_size: u64,
    coverage: u64,
    alpha: f64,
    decision: Decision,
}

impl RandomOrder {
    pub fn new(over: &str, pods: &Pods, rates: Rates) -> Self {
        let order = Order::new(over, pods);
        let endpoints = order.members.len() as u64;
        let half = rates.alpha / 2.0;
        let (turn_size, coverage) = if endpoints > 1 {
            (cycle_size(endpoints, half), coverage_size(endpoints, half))
        } else {
            (0, 0)
        };
        Self {
            order,
            turn_size,
            coverage,
            alpha: rates.alpha,
            decision: Decision::Continue,
        }
    }
}

impl Sequential for RandomOrder {
    fn feed(&mut self, call: &Observation) -> Decision {
        let (Decision::Continue, Some(pod)) = (self.decision, seen::pod(call)) else {
            return self.decision;
        };
        if self.order.members.len() < 2 {
            return self.decision;
        }
        self.order.feed(pod);
        let (samples, broken) = (self.order.samples(), self.order.broken_at.is_some());
        let starved = self.order.unseen() > 0;
        self.decision = if broken && !starved {
            Decision::Holds
        } else if (!broken && samples >= self.turn_size) || (starved && samples >= self.coverage) {
            Decision::Refuted
        } else {
            Decision::Continue
        };
        self.decision
    }

    fn cap(&self) -> Option<u64> {
        (self.coverage > 0).then_some(self.coverage.max(self.turn_size))
    }

    fn conclude(&self) -> Judgement {
        let unseen = self.order.unseen();
        let actual = self.order.too_few_pods().unwrap_or_else(|| match unseen {
            0 => self.order.around_break(),
            _ => format!(
                "{unseen} of {} pods did not answer {} calls",
                self.order.members.len(),
                self.order.samples()
            ),
        });
        let method = format!(
            "sequence and coverage over {} pods, cap {} calls, alpha {:e}",
            self.order.members.len(),
            self.coverage.max(self.turn_size),
            self.alpha
        );
        Judgement::of(self.decision, actual, self.order.samples(), method)
    }
}
