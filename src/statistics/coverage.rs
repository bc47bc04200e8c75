//! Coverage: every pod answers.
//!
//! Holds as soon as every pod has answered (exact). Refuted if a pod has not answered after the
//! number of answers with which independent uniform draws reach all pods with probability 1 -
//! alpha. Round robin and least-request reach all pods sooner.

use crate::Decision;

/// Which pods have not answered yet.
#[derive(Debug, Clone)]
pub struct Coverage {
    missing: Vec<bool>,
    left: usize,
    cap: u64,
    seen: u64,
    decision: Decision,
}

impl Coverage {
    /// `None` without pods.
    pub fn new(pods: usize, alpha: f64) -> Option<Self> {
        (pods > 0).then(|| Self {
            missing: vec![true; pods],
            left: pods,
            cap: coverage_size(pods as u64, alpha),
            seen: 0,
            decision: Decision::Continue,
        })
    }

    /// Adds an answer. An answer from an unknown pod (`None`) counts only towards the cap.
    pub fn feed(&mut self, pod: Option<usize>) -> Decision {
        if self.decision != Decision::Continue {
            return self.decision;
        }
        self.seen += 1;
        if let Some(missing) = pod.and_then(|pod| self.missing.get_mut(pod))
            && std::mem::take(missing)
        {
            self.left -= 1;
        }
        if self.left == 0 {
            self.decision = Decision::Holds;
        } else if self.seen >= self.cap {
            self.decision = Decision::Refuted;
        }
        self.decision
    }

    pub fn decision(&self) -> Decision {
        self.decision
    }

    pub fn cap(&self) -> u64 {
        self.cap
    }

    /// The pods that have not answered.
    pub fn missing(&self) -> impl Iterator<Item = usize> + '_ {
        let missing = self.missing.iter().enumerate();
        missing.filter(|(_, missing)| **missing).map(|(pod, _)| pod)
    }
}

/// The number of calls after which each of `endpoints` was reached with probability 1 - `alpha`
/// under independent uniform draws: P(some endpoint unseen) = sum over j of (-1)^(j+1) C(N,j)
/// (1-j/N)^n (inclusion-exclusion).
pub fn coverage_size(endpoints: u64, alpha: f64) -> u64 {
    let mut n = endpoints;
    while unseen(endpoints, n) > alpha {
        n += 1;
    }
    n
}

fn unseen(endpoints: u64, calls: u64) -> f64 {
    let size = endpoints as f64;
    let mut choose = 1.0;
    (1..endpoints)
        .map(|j| {
            let j = j as f64;
            choose *= (size - j + 1.0) / j;
            let sign = if j as u64 % 2 == 1 { 1.0 } else { -1.0 };
            sign * choose * (1.0 - j / size).powf(calls as f64)
        })
        .sum()
}
