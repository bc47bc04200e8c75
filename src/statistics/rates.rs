//! Error rates, and the decisions of a test.
//!
//! The null hypothesis H0 is the claim as stated. The alternative H1 is the fault that must not be
//! missed. `alpha` bounds P(refuted | H0), `beta` bounds P(holds | H1).

/// Declared error rates of one check.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Type I error rate: a mesh that keeps the claim is reported as violating it.
    pub alpha: f64,
    /// Type II error rate: a mesh that violates the claim by the stated alternative passes.
    pub beta: f64,
}

impl Rates {
    /// The rates of attempt number `look` (from 1) for a claim that is tested any number of times
    /// until it holds.
    ///
    /// Each attempt is another chance of a type II error, so beta is spent over the attempts:
    /// attempt k gets beta / (k (k + 1)), and these add up to beta. A type I error requires that
    /// every attempt fails, so alpha is unchanged.
    #[must_use]
    pub fn at_look(self, look: u32) -> Self {
        let k = f64::from(look.max(1));
        Self {
            beta: self.beta / (k * (k + 1.0)),
            ..self
        }
    }
}

impl Default for Rates {
    /// One in a million each: of the runs with a hundred statistical checks, at most one in 10,000
    /// has a false alarm.
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

/// The decision of a test after an answer. Once made, a decision is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Continue,
    Holds,
    Refuted,
}
