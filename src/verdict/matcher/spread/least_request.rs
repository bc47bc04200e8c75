//! `spread` with policy `least-request`: a pod with a call in progress gets fewer calls.
//!
//! Envoy's least-request policy draws two of N hosts with replacement and selects the one with
//! fewer active requests. A busy host among idle ones is selected only if both draws are this host:
//! 1/N^2. A random choice gives it 1/N. (Envoy, `least_request_lb`.)

use statistics::{Decision, Proportion, Rates};
use testbed::control::Observation;

use crate::verdict::{
    answer,
    judgement::{Judgement, SequentialTest},
    pods::Pods,
    text::percent,
};

pub struct LeastRequest {
    busy: Option<String>,
    test: Option<Proportion>,
    rates: Rates,
    hits: u64,
    samples: u64,
    decision: Decision,
}

impl LeastRequest {
    pub fn new(over: &str, pods: &Pods, busy: Option<&str>, rates: Rates) -> Self {
        let endpoints = pods.get(over).map_or(0, Vec::len) as f64;
        let test = || Proportion::new(endpoints.powi(-2), endpoints.recip(), rates);
        Self {
            busy: busy.map(str::to_owned),
            test: (endpoints > 1.0).then(test),
            rates,
            hits: 0,
            samples: 0,
            decision: Decision::Continue,
        }
    }
}

impl SequentialTest for LeastRequest {
    fn feed(&mut self, call: &Observation) -> Decision {
        let (Some(busy), Some(test), Some(pod)) = (&self.busy, &mut self.test, answer::pod(call))
        else {
            return self.decision;
        };
        if self.decision != Decision::Continue {
            return self.decision;
        }
        self.samples += 1;
        self.hits += u64::from(pod == busy);
        self.decision = test.feed(pod == busy);
        self.decision
    }

    fn cap(&self) -> Option<u64> {
        self.test.as_ref().map(Proportion::cap)
    }

    fn conclude(&self) -> Judgement {
        let actual = match (&self.busy, self.samples) {
            (None, _) => "no pod was kept busy".to_owned(),
            (_, 0) => "no call was answered, or there is only one pod".to_owned(),
            (Some(busy), samples) => format!(
                "{busy} answered {} ({} of {samples})",
                percent(self.hits as f64 / samples as f64),
                self.hits
            ),
        };
        let method = self.test.as_ref().map_or_else(String::new, |test| {
            format!(
                "sequential probability ratio test ({} against {}), exact binomial test at the cap of {} calls, {}",
                percent(test.p0),
                percent(test.p1),
                test.cap(),
                self.rates
            )
        });
        Judgement::of(self.decision, actual, self.samples, method)
    }
}
