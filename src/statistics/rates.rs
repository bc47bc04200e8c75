//! Error rates, and what a test can say.
//!
//! H0 is the claim as stated, H1 the fault that must not be missed. `alpha` bounds P(refuted | H0),
//! `beta` bounds P(holds | H1).

/// Declared error rates of one check.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// False alarm: a mesh that keeps the claim is called a liar.
    pub alpha: f64,
    /// Miss: a mesh that breaks the claim by the stated alternative passes.
    pub beta: f64,
}

impl Rates {
    /// The rates of look number `look` (from 1) at a claim that may be looked at any number of
    /// times until it holds.
    ///
    /// Each look is another chance to miss, so the rate of misses is spent over the looks: look k
    /// gets beta / (k (k + 1)), and these add up to beta. A false alarm needs every look to fail,
    /// so alpha stays.
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
    /// One in a million each: a run of a hundred statistical checks alarms falsely once in 10,000
    /// runs at most.
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

/// What a test says after an answer. A decision once made stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Continue,
    Holds,
    Refuted,
}
