//! Shares of several kinds of answers, by two-sided sequential probability ratio tests.
//!
//! Each declared share p is tested against p + 10 and p - 10 percentage points. Near 0 and 1, these
//! would leave the unit interval or a single call would decide, so the alternative keeps a fifth of
//! p's distance from the border (90 %: 80 % and 98 %). The one-sided tests split alpha evenly. A
//! type II error requires that the test of the violated side passes, so each keeps beta. Of two
//! kinds, only one is tested, since the other has the rest.

use crate::{Decision, Proportion, Rates};

/// Half width of the indifference zone, in which either decision is right.
const INDIFFERENCE: f64 = 0.10;

/// The tests of all shares.
#[derive(Debug, Clone)]
pub struct Shares {
    /// Kinds and their tests.
    tests: Vec<(usize, Proportion)>,
    kinds: usize,
    decision: Decision,
}

impl Shares {
    /// `shares` are those of the kinds 0, 1, …, each in 0..=1.
    pub fn new(shares: &[f64], rates: Rates) -> Self {
        let tested = if shares.len() == 2 { 1 } else { shares.len() };
        let sides: Vec<(usize, f64, f64)> = shares
            .iter()
            .enumerate()
            .take(tested)
            .flat_map(|(kind, share)| {
                let sides = alternatives(*share).into_iter();
                sides.map(move |p1| (kind, *share, p1))
            })
            .collect();
        let each = Rates {
            alpha: rates.alpha / sides.len().max(1) as f64,
            beta: rates.beta,
        };
        let test = |(kind, p0, p1)| (kind, Proportion::new(p0, p1, each));
        Self {
            tests: sides.into_iter().map(test).collect(),
            kinds: shares.len(),
            decision: Decision::Continue,
        }
    }

    /// Adds an answer. An answer of an undeclared kind refutes the claim.
    pub fn feed(&mut self, kind: Option<usize>) -> Decision {
        if self.decision != Decision::Continue {
            return self.decision;
        }
        let Some(kind) = kind.filter(|kind| *kind < self.kinds) else {
            self.decision = Decision::Refuted;
            return self.decision;
        };
        let mut open = false;
        for (of, test) in &mut self.tests {
            match test.feed(*of == kind) {
                Decision::Refuted => self.decision = Decision::Refuted,
                Decision::Continue => open = true,
                Decision::Holds => {}
            }
        }
        if self.decision == Decision::Continue && !open {
            self.decision = Decision::Holds;
        }
        self.decision
    }

    pub fn decision(&self) -> Decision {
        self.decision
    }

    /// The number of answers after which all tests have decided.
    pub fn cap(&self) -> Option<u64> {
        self.tests.iter().map(|(_, test)| test.cap()).max()
    }

    /// The kind, claimed share and alternative of each test.
    pub fn sides(&self) -> impl Iterator<Item = (usize, f64, f64)> + '_ {
        self.tests
            .iter()
            .map(|(kind, test)| (*kind, test.p0, test.p1))
    }
}

/// The alternatives to a declared share: the faults that must not be missed.
pub fn alternatives(share: f64) -> Vec<f64> {
    let below = (share - INDIFFERENCE).max(share / 5.0);
    let above = (share + INDIFFERENCE).min(1.0 - (1.0 - share) / 5.0);
    let distinct = [below, above].into_iter();
    distinct.filter(|p| (p - share).abs() > 1e-9).collect()
}
