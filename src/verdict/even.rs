//! `spread` even: Pearson's chi-square at a fixed size, against "one pod gets twice what each other gets".
//!
//! Least-request under load is *less* dispersed than independent draws, so that the upper tail stays on the safe side.

use std::collections::BTreeMap;

use testbed::control::Observation;

use super::{
    seen::{self, Pods},
    sequential::{Decision, Judgement, Sequential},
    stats::{Rates, chi_square_critical, even_size},
};

#[derive(Clone)]
pub struct Even {
    over: String,
    counts: BTreeMap<String, u64>,
    size: u64,
    critical: f64,
    rates: Rates,
    samples: u64,
    stray: Option<String>,
    decision: Decision,
}

impl Even {
    pub fn new(over: &str, pods: &Pods, rates: Rates) -> Self {
        let members = pods.get(over).into_iter().flatten();
        let counts: BTreeMap<String, u64> = members.map(|pod| (pod.clone(), 0)).collect();
        let endpoints = counts.len() as u64;
        let (size, critical) = if endpoints > 1 {
            let critical = chi_square_critical(endpoints as f64 - 1.0, rates.alpha);
            (even_size(endpoints, rates), critical)
        } else {
            (0, f64::NAN)
        };
        Self {
            over: over.to_owned(),
            counts,
            size,
            critical,
            rates,
            samples: 0,
            stray: None,
            decision: Decision::Continue,
        }
    }

    fn statistic(&self) -> f64 {
        let mean = self.samples as f64 / self.counts.len() as f64;
        let square = |count: &u64| (*count as f64 - mean).powi(2) / mean;
        self.counts.values().map(square).sum()
    }

    fn actual(&self) -> String {
        if let Some(pod) = &self.stray {
            return format!("{pod} answered, which is no pod of {}", self.over);
        }
        if self.counts.len() < 2 {
            return format!(
                "{} pods of {} are known: nothing to spread over",
                self.counts.len(),
                self.over
            );
        }
        let counts: Vec<String> = self.counts.values().map(ToString::to_string).collect();
        let counts = counts.join("/");
        match self.decision {
            Decision::Continue => format!(
                "{counts} after {} calls; the test needs {}",
                self.samples, self.size
            ),
            _ => format!(
                "{counts}, chi-square {:.1} (limit {:.1})",
                self.statistic(),
                self.critical
            ),
        }
    }
}

impl Sequential for Even {
    fn feed(&mut self, call: &Observation) -> Decision {
        let (Decision::Continue, Some(pod)) = (self.decision, seen::pod(call)) else {
            return self.decision;
        };
        if self.counts.len() < 2 {
            return self.decision;
        }
        self.samples += 1;
        match self.counts.get_mut(pod) {
            Some(count) => *count += 1,
            None => {
                self.stray = Some(pod.to_owned());
                self.decision = Decision::Refuted;
            }
        }
        if self.decision == Decision::Continue && self.samples >= self.size {
            self.decision = if self.statistic() > self.critical {
                Decision::Refuted
            } else {
                Decision::Holds
            };
        }
        self.decision
    }

    fn cap(&self) -> Option<u64> {
        (self.counts.len() > 1).then_some(self.size)
    }

    fn conclude(&self) -> Judgement {
        let method = format!(
            "chi-square with {} degrees of freedom at {} calls against one pod with twice the others' share, {}",
            self.counts.len().saturating_sub(1),
            self.size,
            self.rates
        );
        Judgement::of(self.decision, self.actual(), self.samples, method)
    }
}
