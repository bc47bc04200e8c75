//! The order of answers: strict rotation, and independent draws.
//!
//! Envoy's round robin keeps one index per worker thread, and a connection belongs to one worker,
//! so that the pods answer the calls of *one* connection, made one at a time, in strict rotation.
//! Independent draws look like a strict rotation of N pods over n calls with probability (N!/N^N)
//! N^-(n-N).

use crate::{Decision, Rates, coverage_size};

/// The sequence of pods that answered, and the position of the first answer out of turn.
#[derive(Debug, Clone)]
struct Order {
    pods: usize,
    sequence: Vec<usize>,
    broken_at: Option<usize>,
    unseen: Vec<bool>,
    starved: usize,
}

impl Order {
    fn new(pods: usize) -> Self {
        Self {
            pods,
            sequence: Vec::new(),
            broken_at: None,
            unseen: vec![true; pods],
            starved: pods,
        }
    }

    /// Adds an answer. An unknown pod has a number of `pods` or more.
    fn feed(&mut self, pod: usize) {
        let at = self.sequence.len();
        let in_turn = match at.checked_sub(self.pods) {
            Some(last_turn) => self.sequence[last_turn] == pod,
            None => !self.sequence.contains(&pod),
        };
        if !in_turn || pod >= self.pods {
            self.broken_at.get_or_insert(at);
        }
        if let Some(unseen) = self.unseen.get_mut(pod)
            && std::mem::take(unseen)
        {
            self.starved -= 1;
        }
        self.sequence.push(pod);
    }

    fn seen(&self) -> u64 {
        self.sequence.len() as u64
    }
}

/// Strict rotation: refuted by the first answer out of turn, holds once chance is ruled out.
#[derive(Debug, Clone)]
pub struct Turns {
    order: Order,
    size: u64,
    decision: Decision,
}

impl Turns {
    /// `None` with fewer than two pods: any order is the same.
    pub fn new(pods: usize, rates: Rates) -> Option<Self> {
        (pods > 1).then(|| Self {
            order: Order::new(pods),
            size: turns_size(pods as u64, rates.beta),
            decision: Decision::Continue,
        })
    }

    /// Adds an answer. A number outside 0..pods is an unknown pod.
    pub fn feed(&mut self, pod: usize) -> Decision {
        if self.decision == Decision::Continue {
            self.order.feed(pod);
            if self.order.broken_at.is_some() {
                self.decision = Decision::Refuted;
            } else if self.order.seen() >= self.size {
                self.decision = Decision::Holds;
            }
        }
        self.decision
    }

    pub fn decision(&self) -> Decision {
        self.decision
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// The number, from 0, of the first answer out of turn.
    pub fn broken_at(&self) -> Option<usize> {
        self.order.broken_at
    }
}

/// Independent draws: no strict rotation, and no pod is starved. Each test gets half of alpha.
#[derive(Debug, Clone)]
pub struct Independence {
    order: Order,
    turn_size: u64,
    coverage: u64,
    decision: Decision,
}

impl Independence {
    /// `None` with fewer than two pods.
    pub fn new(pods: usize, rates: Rates) -> Option<Self> {
        let half = rates.alpha / 2.0;
        (pods > 1).then(|| Self {
            order: Order::new(pods),
            turn_size: turns_size(pods as u64, half),
            coverage: coverage_size(pods as u64, half),
            decision: Decision::Continue,
        })
    }

    /// Like [`Turns::feed`].
    pub fn feed(&mut self, pod: usize) -> Decision {
        if self.decision == Decision::Continue {
            self.order.feed(pod);
            let (seen, broken) = (self.order.seen(), self.order.broken_at.is_some());
            let starved = self.order.starved > 0;
            let never = (!broken && seen >= self.turn_size) || (starved && seen >= self.coverage);
            if broken && !starved {
                self.decision = Decision::Holds;
            } else if never {
                self.decision = Decision::Refuted;
            }
        }
        self.decision
    }

    pub fn decision(&self) -> Decision {
        self.decision
    }

    /// The number of answers after which the test has decided.
    pub fn cap(&self) -> u64 {
        self.coverage.max(self.turn_size)
    }

    /// Like [`Turns::broken_at`].
    pub fn broken_at(&self) -> Option<usize> {
        self.order.broken_at
    }

    /// The number of pods that have not answered.
    pub fn starved(&self) -> usize {
        self.order.starved
    }
}

/// The number of calls whose order is cyclic by chance with probability at most `rate`: N!/N^N for
/// the first round, 1/N for each later call.
pub fn turns_size(endpoints: u64, rate: f64) -> u64 {
    let size = endpoints as f64;
    let mut chance: f64 = (1..=endpoints).map(|k| k as f64 / size).product();
    let mut n = endpoints;
    while chance > rate {
        chance /= size;
        n += 1;
    }
    n
}
