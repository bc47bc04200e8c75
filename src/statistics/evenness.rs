//! Evenness over N pods: exact binomial tests of the largest and the smallest count after a fixed
//! number of answers.
//!
//! The claim is that every pod gets 1/N. The alternative is one pod with twice the share of each
//! other, 2/(N+1). The count of a given pod is binomial whatever the others get, so both rates are
//! exact up to the union over pods (Bonferroni correction), which is conservative: alpha/(2N) for
//! each pod and direction. Least-request under load spreads *more* evenly than independent draws,
//! so it stays further from both limits.

use statrs::distribution::{Binomial, DiscreteCDF};

use crate::{Decision, Fixed, Rates};

/// The counts, and the limits within which they must stay.
#[derive(Debug, Clone)]
pub struct Evenness {
    counts: Vec<u64>,
    fixed: Fixed,
    /// A count of at most this many refutes the claim; `None` if no count is too small.
    few: Option<u64>,
    seen: u64,
    decision: Decision,
}

impl Evenness {
    /// `None` with fewer than two pods: there is nothing to spread over.
    pub fn new(pods: usize, rates: Rates) -> Option<Self> {
        if pods < 2 {
            return None;
        }
        let size = pods as f64;
        let each = Rates {
            alpha: rates.alpha / (2.0 * size),
            beta: rates.beta,
        };
        let fixed = Fixed::new(size.recip(), 2.0 / (size + 1.0), each);
        Some(Self {
            counts: vec![0; pods],
            few: largest_few(fixed.n, size.recip(), each.alpha),
            fixed,
            seen: 0,
            decision: Decision::Continue,
        })
    }

    /// Adds an answer. An answer from an unknown pod (`None`) refutes the claim.
    pub fn feed(&mut self, pod: Option<usize>) -> Decision {
        if self.decision != Decision::Continue {
            return self.decision;
        }
        let Some(count) = pod.and_then(|pod| self.counts.get_mut(pod)) else {
            self.decision = Decision::Refuted;
            return self.decision;
        };
        *count += 1;
        self.seen += 1;
        if self.seen >= self.fixed.n {
            let most = self.counts.iter().max().copied().unwrap_or(0);
            let least = self.counts.iter().min().copied().unwrap_or(0);
            let uneven = most >= self.fixed.critical || self.few.is_some_and(|few| least <= few);
            self.decision = if uneven {
                Decision::Refuted
            } else {
                Decision::Holds
            };
        }
        self.decision
    }

    pub fn decision(&self) -> Decision {
        self.decision
    }

    /// The number of answers that the test needs.
    pub fn size(&self) -> u64 {
        self.fixed.n
    }

    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// The smallest and the largest count with which the claim holds, both inclusive.
    pub fn limits(&self) -> (u64, u64) {
        let least = self.few.map_or(0, |few| few + 1);
        (least, self.fixed.critical - 1)
    }
}

/// The largest count `c` with P(X <= c) <= alpha.
fn largest_few(n: u64, p: f64, alpha: f64) -> Option<u64> {
    let count = Binomial::new(p, n).ok()?;
    let (mut low, mut high) = (0, n + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        if count.cdf(middle) <= alpha {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low.checked_sub(1)
}
