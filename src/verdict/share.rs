//! `share`: calls per workload, by two-sided sequential tests.
//!
//! Each declared share p is tested against p + 10 and p - 10 percentage points. Near 0 and 1 that would leave the unit interval or
//! make one call decide, so the alternative is kept a fifth of the distance from the border (90 %: 80 % and 98 %).
//! One-sided tests split alpha evenly; a miss needs the one test of the broken side to pass, so each keeps beta. Of two
//! workloads one is tested, since the other's share is the rest.

use std::collections::BTreeMap;

use testbed::control::Observation;

use super::{
    expect::percent,
    seen,
    sequential::{Decision, Judgement, Sequential},
    stats::{Proportion, Rates, Side, interval},
};

/// Half width of the zone in which either answer is right.
pub const INDIFFERENCE: f64 = 0.10;

#[derive(Clone)]
pub struct Share {
    counts: BTreeMap<String, u64>,
    tests: Vec<(String, Proportion)>,
    rates: Rates,
    samples: u64,
    stray: Option<String>,
    decision: Decision,
}

impl Share {
    pub fn new(shares: &BTreeMap<String, f64>, rates: Rates) -> Self {
        let tested = if shares.len() == 2 { 1 } else { shares.len() };
        let sides: Vec<(String, f64, f64)> = shares
            .iter()
            .take(tested)
            .flat_map(|(name, share)| {
                let sides = alternatives(*share).into_iter();
                sides.map(move |p1| (name.clone(), *share, p1))
            })
            .collect();
        let each = Rates {
            alpha: rates.alpha / sides.len().max(1) as f64,
            beta: rates.beta,
        };
        let test = |(name, p0, p1)| (name, Proportion::new(p0, p1, each));
        Self {
            counts: shares.keys().map(|name| (name.clone(), 0)).collect(),
            tests: sides.into_iter().map(test).collect(),
            rates,
            samples: 0,
            stray: None,
            decision: Decision::Continue,
        }
    }

    fn actual(&self) -> String {
        if let Some(stray) = &self.stray {
            return format!("{stray} answered, which is not among them");
        }
        let words = |(name, hits): (&String, &u64)| {
            let (low, high) = interval(*hits, self.samples, 0.95);
            format!(
                "{name} {} ({hits} of {}, 95 % interval {:.1} to {:.1})",
                percent(*hits as f64 / self.samples as f64),
                self.samples,
                low * 100.0,
                high * 100.0
            )
        };
        match self.samples {
            0 => "no application answered".to_owned(),
            _ => self.counts.iter().map(words).collect::<Vec<_>>().join(", "),
        }
    }
}

/// The faults that must not be missed for a declared share.
pub fn alternatives(share: f64) -> Vec<f64> {
    let below = (share - INDIFFERENCE).max(share / 5.0);
    let above = (share + INDIFFERENCE).min(1.0 - (1.0 - share) / 5.0);
    let distinct = [below, above].into_iter();
    distinct.filter(|p| (p - share).abs() > 1e-9).collect()
}

impl Sequential for Share {
    fn feed(&mut self, call: &Observation) -> Decision {
        let (Decision::Continue, Some(workload)) = (self.decision, seen::workload(call)) else {
            return self.decision;
        };
        self.samples += 1;
        match self.counts.get_mut(workload) {
            Some(count) => *count += 1,
            None => {
                self.stray = Some(workload.to_owned());
                self.decision = Decision::Refuted;
                return self.decision;
            }
        }
        let sides: Vec<Side> = self
            .tests
            .iter_mut()
            .map(|(name, test)| test.feed(name == workload))
            .collect();
        if sides.contains(&Side::Rejected) {
            self.decision = Decision::Refuted;
        } else if !sides.contains(&Side::Open) {
            self.decision = Decision::Holds;
        }
        self.decision
    }

    fn cap(&self) -> Option<u64> {
        self.tests.iter().map(|(_, test)| test.cap()).max()
    }

    fn conclude(&self) -> Judgement {
        let cap = self.cap().unwrap_or(0);
        let mut actual = self.actual();
        if self.decision == Decision::Continue {
            actual += &format!("; a decision may need {cap} calls");
        }
        let sides = |(name, test): &(String, Proportion)| {
            format!("{name} {} against {}", percent(test.p0), percent(test.p1))
        };
        let method = format!(
            "sequential probability ratio ({}), cap {cap} by exact binomial, {}",
            self.tests.iter().map(sides).collect::<Vec<_>>().join("; "),
            self.rates
        );
        Judgement::of(self.decision, actual, self.samples, method)
    }
}
