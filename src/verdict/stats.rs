//! Sample sizes and tests that the statistical matchers share.
//!
//! H0 is the claim as stated, H1 the fault that must not be missed. `alpha` bounds P(refuted | H0), `beta` bounds
//! P(holds | H1).

use statrs::distribution::{Beta, Binomial, ChiSquared, ContinuousCDF, DiscreteCDF};

/// Declared error rates of one check.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// False alarm: a mesh that keeps the claim is called a liar.
    pub alpha: f64,
    /// Miss: a mesh that breaks the claim by the stated alternative passes.
    pub beta: f64,
}

impl Default for Rates {
    /// One in a million each, so that a suite of twenty statistical checks alarms falsely once in 50,000 runs.
    fn default() -> Self {
        Self {
            alpha: 1e-6,
            beta: 1e-6,
        }
    }
}

impl std::fmt::Display for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "alpha {:e}, beta {:e}", self.alpha, self.beta)
    }
}

/// State of a test that sees one trial at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Open,
    /// H0 accepted.
    Accepted,
    /// H0 rejected.
    Rejected,
}

/// One-sided test of a proportion: Wald's sequential probability ratio test (A. Wald, *Sequential Analysis*, 1947),
/// cut at the size where an exact binomial test decides alone.
///
/// The boundaries are `ln(2/alpha)` and `ln(beta/2)`: by Ville's inequality a likelihood ratio exceeds `2/alpha` with
/// probability at most `alpha/2` under H0 (the mirror image holds for beta), so overshoot is on the safe side. The other halves of both rates
/// are spent on the binomial decision at the cut.
#[derive(Debug, Clone)]
pub struct Proportion {
    pub p0: f64,
    pub p1: f64,
    accept_at: f64,
    reject_at: f64,
    fixed: Fixed,
    ratio: f64,
    hits: u64,
    trials: u64,
    side: Side,
}

impl Proportion {
    /// `p0` is the claim, `p1` the alternative on either side of it.
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
            ratio: 0.0,
            hits: 0,
            trials: 0,
            side: Side::Open,
        }
    }

    /// Trials after which the test has always decided.
    pub fn cap(&self) -> u64 {
        self.fixed.n
    }

    /// Sees one trial; a decision once made stays.
    pub fn feed(&mut self, hit: bool) -> Side {
        if self.side != Side::Open {
            return self.side;
        }
        self.trials += 1;
        self.hits += u64::from(hit);
        self.ratio += if hit {
            (self.p1 / self.p0).ln()
        } else {
            ((1.0 - self.p1) / (1.0 - self.p0)).ln()
        };
        self.side = if self.ratio >= self.reject_at {
            Side::Rejected
        } else if self.ratio <= self.accept_at {
            Side::Accepted
        } else if self.trials >= self.fixed.n {
            self.fixed.decide(self.hits)
        } else {
            Side::Open
        };
        self.side
    }

    pub fn side(&self) -> Side {
        self.side
    }
}

/// Exact binomial test of fixed size: the smallest `n` that keeps both rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fixed {
    /// Trials.
    pub n: u64,
    /// First count, of hits (H1 above H0) or of misses (H1 below), that rejects.
    pub critical: u64,
    above: bool,
}

impl Fixed {
    /// Doubles until the rates are kept, then bisects. Feasibility is a saw-tooth in `n`, so the end is walked down by
    /// hand; the result is sufficient, and minimal up to the tooth.
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

    fn decide(&self, hits: u64) -> Side {
        let count = if self.above { hits } else { self.n - hits };
        if count >= self.critical {
            Side::Rejected
        } else {
            Side::Accepted
        }
    }
}

/// Smallest count `c` with P(X >= c | p0) <= alpha, given that P(X < c | p1) <= beta; `None` when `n` is too small.
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

/// Interval of Clopper and Pearson (1934) for `hits` of `n` at the given confidence, e.g. 0.95.
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

/// Calls after which every one of `endpoints` was reached but for a chance of `alpha`, under independent uniform draws:
/// P(some endpoint unseen) = sum over j of (-1)^(j+1) C(N,j) (1-j/N)^n (inclusion and exclusion).
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

/// Calls that agree by chance with probability at most `rate` when each picks one of `endpoints` independently:
/// N^-(n-1), so n = 1 + ln(1/rate) / ln N.
pub fn agreement_size(endpoints: u64, rate: f64) -> u64 {
    1 + agreement_repeats(endpoints, rate)
}

/// Repeats (calls beyond the first of each group) that the same argument needs over several groups.
pub fn agreement_repeats(endpoints: u64, rate: f64) -> u64 {
    ((1.0 / rate).ln() / (endpoints as f64).ln()).ceil() as u64
}

/// Calls whose order is cyclic by chance with probability at most `rate`: N!/N^N for the first turn, 1/N for each later call.
pub fn cycle_size(endpoints: u64, rate: f64) -> u64 {
    let size = endpoints as f64;
    let mut chance: f64 = (1..=endpoints).map(|k| k as f64 / size).product();
    let mut n = endpoints;
    while chance > rate {
        chance /= size;
        n += 1;
    }
    n
}

/// Value that a chi-square variable with `freedom` degrees exceeds with probability `alpha`.
pub fn chi_square_critical(freedom: f64, alpha: f64) -> f64 {
    let Ok(chi) = ChiSquared::new(freedom) else {
        return f64::NAN;
    };
    let (mut low, mut high) = (0.0, freedom + 10.0);
    while chi.sf(high) > alpha {
        high *= 2.0;
    }
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if chi.sf(middle) > alpha {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// Calls for a chi-square test of evenness over `endpoints` against "one endpoint gets twice what each other gets".
///
/// Power comes from the noncentral chi-square distribution with noncentrality n * N * sum((p_i - 1/N)^2)
/// (Cohen, *Statistical Power Analysis*, chapter 7).
pub fn even_size(endpoints: u64, rates: Rates) -> u64 {
    let size = endpoints as f64;
    let (double, single) = (2.0 / (size + 1.0), 1.0 / (size + 1.0));
    let square = |p: f64| (p - 1.0 / size).powi(2);
    let per_call = size * (square(double) + (size - 1.0) * square(single));
    let critical = chi_square_critical(size - 1.0, rates.alpha);
    let (mut low, mut high) = (0.0, 1.0);
    while noncentral_cdf(critical, size - 1.0, high) > rates.beta {
        high *= 2.0;
    }
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if noncentral_cdf(critical, size - 1.0, middle) > rates.beta {
            low = middle;
        } else {
            high = middle;
        }
    }
    (high / per_call).ceil() as u64
}

/// Distribution function of the noncentral chi-square: a Poisson mixture of central ones.
fn noncentral_cdf(x: f64, freedom: f64, lambda: f64) -> f64 {
    let half = lambda / 2.0;
    let last = (half + 12.0 * half.sqrt() + 40.0) as u64;
    let mut log_weight = -half;
    let mut sum = 0.0;
    for j in 0..last {
        if j > 0 {
            log_weight += (half / j as f64).ln();
        }
        let central = ChiSquared::new(freedom + 2.0 * j as f64).map_or(f64::NAN, |c| c.cdf(x));
        sum += log_weight.exp() * central;
    }
    sum
}
