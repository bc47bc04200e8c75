//! Tests of a proportion: sequential, and with a fixed sample size.

use statrs::distribution::{Beta, Binomial, ContinuousCDF, DiscreteCDF};

use crate::{Decision, Rates};

/// One-sided test of a proportion: Wald's sequential probability ratio test (A. Wald, *Sequential
/// Analysis*, 1947), truncated at the sample size where an exact binomial test decides.
///
/// The boundaries are `ln(2/alpha)` and `ln(beta/2)`: by Ville's inequality a likelihood ratio
/// exceeds `2/alpha` with probability at most `alpha/2` under H0 (the same holds for beta with H0
/// and H1 exchanged), so overshoot is on the safe side. The other halves of both rates are spent on
/// the binomial test at the truncation.
#[derive(Debug, Clone)]
pub struct Proportion {
    pub p0: f64,
    pub p1: f64,
    accept_at: f64,
    reject_at: f64,
    fixed: Fixed,
    /// What a hit and a miss each add to the logarithm of the likelihood ratio.
    of_hit: f64,
    of_miss: f64,
    ratio: f64,
    hits: u64,
    trials: u64,
    decision: Decision,
}

impl Proportion {
    /// `p0` is the claim, `p1` the alternative above or below it.
    pub fn new(p0: f64, p1: f64, rates: Rates) -> Self {
        let half = Rates {
            alpha: rates.alpha / 2.0,
            beta: rates.beta / 2.0,
        };
        Self {
            p0,
            p1,
            accept_at: half.beta.ln(),
            reject_at: -half.alpha.ln(),
            fixed: Fixed::new(p0, p1, half),
            of_hit: (p1 / p0).ln(),
            of_miss: ((1.0 - p1) / (1.0 - p0)).ln(),
            ratio: 0.0,
            hits: 0,
            trials: 0,
            decision: Decision::Continue,
        }
    }

    /// The number of trials after which the test has always decided.
    pub fn cap(&self) -> u64 {
        self.fixed.n
    }

    /// Adds one trial. A decision, once made, is final.
    pub fn feed(&mut self, hit: bool) -> Decision {
        if self.decision != Decision::Continue {
            return self.decision;
        }
        self.trials += 1;
        self.hits += u64::from(hit);
        self.ratio += if hit { self.of_hit } else { self.of_miss };
        self.decision = if self.ratio >= self.reject_at {
            Decision::Refuted
        } else if self.ratio <= self.accept_at {
            Decision::Holds
        } else if self.trials >= self.fixed.n {
            self.fixed.decide(self.hits)
        } else {
            Decision::Continue
        };
        self.decision
    }

    pub fn decision(&self) -> Decision {
        self.decision
    }

    /// The number of hits and of trials.
    pub fn counts(&self) -> (u64, u64) {
        (self.hits, self.trials)
    }
}

/// Exact binomial test with the smallest sample size `n` that keeps both rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fixed {
    /// The sample size.
    pub n: u64,
    /// The smallest count, of hits (H1 above H0) or of misses (H1 below), that rejects the claim.
    pub critical: u64,
    above: bool,
}

impl Fixed {
    /// Doubles `n` until the rates are kept, then bisects. Feasibility is a saw-tooth in `n`, so
    /// the last 24 values are tried one by one. The result is sufficient, and minimal up to one
    /// tooth.
    pub fn new(p0: f64, p1: f64, rates: Rates) -> Self {
        let above = p1 > p0;
        let (q0, q1) = if above {
            (p0, p1)
        } else {
            (1.0 - p0, 1.0 - p1)
        };
        let at = |n| critical(n, q0, q1, rates);
        let mut high = 1;
        while at(high).is_none() {
            high *= 2;
        }
        let mut low = high / 2;
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if at(middle).is_some() {
                high = middle;
            } else {
                low = middle;
            }
        }
        let n = (low.saturating_sub(24).max(1)..high)
            .find(|n| at(*n).is_some())
            .unwrap_or(high);
        let critical = at(n).unwrap_or(n);
        Self { n, critical, above }
    }

    fn decide(&self, hits: u64) -> Decision {
        let count = if self.above { hits } else { self.n - hits };
        if count >= self.critical {
            Decision::Refuted
        } else {
            Decision::Holds
        }
    }
}

/// The smallest count `c` with P(X >= c | p0) <= alpha, if P(X < c | p1) <= beta; `None` if `n` is
/// too small.
fn critical(n: u64, p0: f64, p1: f64, rates: Rates) -> Option<u64> {
    let healthy = Binomial::new(p0, n).ok()?;
    let broken = Binomial::new(p1, n).ok()?;
    let (mut low, mut high) = (0, n + 1);
    while low < high {
        let middle = (low + high) / 2;
        let tail = if middle == 0 {
            1.0
        } else {
            healthy.sf(middle - 1)
        };
        if tail <= rates.alpha {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    let missed = if low == 0 { 0.0 } else { broken.cdf(low - 1) };
    (low <= n && missed <= rates.beta).then_some(low)
}

/// The confidence interval of Clopper and Pearson (1934) for `hits` of `n`; `confidence` e.g. 0.95.
pub fn interval(hits: u64, n: u64, confidence: f64) -> (f64, f64) {
    let tail = (1.0 - confidence) / 2.0;
    let (k, m) = (hits as f64, (n - hits) as f64);
    let quantile = |a, b, p| Beta::new(a, b).map_or(f64::NAN, |beta| beta.inverse_cdf(p));
    let low = if hits == 0 {
        0.0
    } else {
        quantile(k, m + 1.0, tail)
    };
    let high = if hits == n {
        1.0
    } else {
        quantile(k + 1.0, m, 1.0 - tail)
    };
    (low, high)
}
