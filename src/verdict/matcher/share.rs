//! `share`: the share of calls that each workload answers ([`statistics::Shares`]).

use std::collections::BTreeMap;

use statistics::{Decision, Rates, Shares, interval};
use testbed::control::Observation;

use super::spec::{Around, ExpectError, Form, Mistake, Named, Sample, Sampled, Spec};
use crate::{
    values::range,
    verdict::{
        answer,
        judgement::{Judgement, SequentialTest},
        pods::World,
        text::percent,
    },
};

/// The probability of each workload. They add up to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Share(pub BTreeMap<String, f64>);

impl Spec for Share {
    const NAME: &'static str = "share";
    const DOC: &'static str = "Share of the calls that each workload answers, e.g. `{greeter-v1: 90%, greeter-v2: 10%}` (sequential probability ratio tests).";
    const FORMS: &'static [Form] = &[Form::sampled(
        "`share: {v1: 90%, v2: 10%}`",
        "each workload answers this share of the calls: sequential probability ratio tests against the share ±10 percentage points (at least a fifth of the distance to 0 or 100 % remains), with an exact binomial test at the cap. Fractions such as `1/3` are allowed",
        "about 400 on a healthy mesh",
    )];
    const COUNTS_ANSWERS: bool = true;
    type Written = BTreeMap<String, String>;

    fn read(written: &Self::Written) -> Result<Self, ExpectError> {
        let mut shares = BTreeMap::new();
        for (workload, text) in written {
            let share = range::share(text).map_err(ExpectError::value(Self::NAME))?;
            shares.insert(workload.clone(), share);
        }
        let sum: f64 = shares.values().sum();
        if (sum - 1.0).abs() > 1e-6 {
            return Err(ExpectError::Text {
                field: Self::NAME,
                message: format!("shares add up to {:.2} % instead of 100 %", sum * 100.0),
            });
        }
        Ok(Self(shares))
    }

    fn expected(&self) -> String {
        let shares = self.0.iter();
        let parts = shares.map(|(name, share)| format!("{name} {}", percent(*share)));
        parts.collect::<Vec<_>>().join(", ")
    }

    fn names(&self) -> Vec<Named<'_>> {
        self.0.keys().map(|name| Named::Workload(name)).collect()
    }

    fn mistakes(&self, around: &Around<'_>) -> Vec<Mistake> {
        around.excluded_by_pinned(Self::NAME).into_iter().collect()
    }

    fn test(&self, sample: &Sample<'_>) -> String {
        let Sample { cap, rates, .. } = sample;
        format!("sequential probability ratio tests, cap {cap} calls, {rates}")
    }
}

impl Sampled for Share {
    fn sequential(&self, _: &World<'_>, rates: Rates) -> Box<dyn SequentialTest> {
        Box::new(Test::new(&self.0, rates))
    }
}

/// The test.
struct Test {
    workloads: Vec<String>,
    counts: Vec<u64>,
    test: Shares,
    rates: Rates,
    samples: u64,
    stray: Option<String>,
}

impl Test {
    fn new(shares: &BTreeMap<String, f64>, rates: Rates) -> Self {
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
            return format!("{stray} answered, which is not one of these workloads");
        }
        let message = |(name, hits): (&String, &u64)| {
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
                each.map(message).collect::<Vec<_>>().join(", ")
            }
        }
    }
}

impl SequentialTest for Test {
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
            actual += &format!("; a decision may take {cap} calls");
        }
        let sides = |(at, p0, p1): (usize, f64, f64)| {
            let name = &self.workloads[at];
            format!("{name} {} against {}", percent(p0), percent(p1))
        };
        let method = format!(
            "sequential probability ratio tests ({}), exact binomial test at the cap of {cap} calls, {}",
            self.test.sides().map(sides).collect::<Vec<_>>().join("; "),
            self.rates
        );
        Judgement::of(self.test.decision(), actual, self.samples, method)
    }
}
