//! `share`: calls per workload ([`statistics::Shares`]).

use std::collections::BTreeMap;

use statistics::{Decision, Rates, Shares, interval};
use testbed::control::Observation;

use crate::verdict::{
    answer,
    judgement::{Judgement, Sequential},
    words::percent,
};

#[derive(Clone)]
pub struct Share {
    workloads: Vec<String>,
    counts: Vec<u64>,
    test: Shares,
    rates: Rates,
    samples: u64,
    stray: Option<String>,
}

impl Share {
    pub fn new(shares: &BTreeMap<String, f64>, rates: Rates) -> Self {
        let values: Vec<f64> = shares.values().copied().collect();
        Self {
            workloads: shares.keys().cloned().collect(),
            counts: vec![0; shares.len()],
            test: Shares::new(&values, rates),
            rates,
            samples: 0,
            stray: None,
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
            _ => {
                let each = self.workloads.iter().zip(&self.counts);
                each.map(words).collect::<Vec<_>>().join(", ")
            }
        }
    }
}

impl Sequential for Share {
    fn feed(&mut self, call: &Observation) -> Decision {
        let (Decision::Continue, Some(workload)) = (self.test.decision(), answer::workload(call))
        else {
            return self.test.decision();
        };
        self.samples += 1;
        let at = self.workloads.iter().position(|known| known == workload);
        match at {
            Some(at) => self.counts[at] += 1,
            None => self.stray = Some(workload.to_owned()),
        }
        self.test.feed(at)
    }

    fn cap(&self) -> Option<u64> {
        self.test.cap()
    }

    fn conclude(&self) -> Judgement {
        let cap = self.cap().unwrap_or(0);
        let mut actual = self.actual();
        if self.test.decision() == Decision::Continue {
            actual += &format!("; a decision may need {cap} calls");
        }
        let sides = |(at, p0, p1): (usize, f64, f64)| {
            let name = &self.workloads[at];
            format!("{name} {} against {}", percent(p0), percent(p1))
        };
        let method = format!(
            "sequential probability ratio ({}), cap {cap} by exact binomial, {}",
            self.test.sides().map(sides).collect::<Vec<_>>().join("; "),
            self.rates
        );
        Judgement::of(self.test.decision(), actual, self.samples, method)
    }
}
