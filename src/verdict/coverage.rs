//! `reaches-all`: no pod of a workload is starved.
//!
//! Holds as soon as every pod has answered (exact). Refuted when some pod has not after as many calls as independent
//! uniform draws need to reach all but for a chance of alpha; round robin and least-request reach all sooner.

use std::collections::BTreeSet;

use testbed::control::Observation;

use super::{
    seen::{self, Pods},
    sequential::{Decision, Judgement, Sequential},
    stats::{Rates, coverage_size},
};

pub struct ReachesAll {
    app: String,
    missing: BTreeSet<String>,
    size: u64,
    cap: u64,
    alpha: f64,
    samples: u64,
    decision: Decision,
}

impl ReachesAll {
    pub fn new(app: &str, pods: &Pods, rates: Rates) -> Self {
        let missing: BTreeSet<String> = pods.get(app).into_iter().flatten().cloned().collect();
        let size = missing.len() as u64;
        Self {
            app: app.to_owned(),
            missing,
            size,
            cap: coverage_size(size, rates.alpha),
            alpha: rates.alpha,
            samples: 0,
            decision: Decision::Continue,
        }
    }
}

impl Sequential for ReachesAll {
    fn feed(&mut self, call: &Observation) -> Decision {
        let Some(pod) = seen::pod(call) else {
            return self.decision;
        };
        if self.decision != Decision::Continue || self.size == 0 {
            return self.decision;
        }
        self.samples += 1;
        self.missing.remove(pod);
        if self.missing.is_empty() {
            self.decision = Decision::Holds;
        } else if self.samples >= self.cap {
            self.decision = Decision::Refuted;
        }
        self.decision
    }

    fn cap(&self) -> Option<u64> {
        (self.size > 0).then_some(self.cap)
    }

    fn conclude(&self) -> Judgement {
        let (size, calls) = (self.size, self.samples);
        let reached = size - self.missing.len() as u64;
        let actual = match self.decision {
            _ if size == 0 => format!("no pod of {} is known", self.app),
            Decision::Holds => format!("all {size} pods answered within {calls} calls"),
            Decision::Refuted => format!(
                "{reached} of {size} pods answered {calls} calls; none went to {}",
                self.missing.iter().cloned().collect::<Vec<_>>().join(", ")
            ),
            Decision::Continue => format!(
                "{reached} of {size} pods answered {calls} calls; a starved pod shows only after {}",
                self.cap
            ),
        };
        let method = format!(
            "coverage of {size} pods, cap {} calls, alpha {:e}, stops when all are seen",
            self.cap, self.alpha
        );
        Judgement::of(self.decision, actual, calls, method)
    }
}
