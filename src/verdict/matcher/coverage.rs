//! `reaches-all`: no pod of a workload is starved ([`statistics::Coverage`]).

use statistics::{Coverage, Decision, Rates};
use testbed::control::Observation;

use crate::verdict::{
    answer,
    judgement::{Judgement, Sequential},
    pods::Pods,
};

pub struct ReachesAll {
    app: String,
    pods: Vec<String>,
    test: Option<Coverage>,
    alpha: f64,
    samples: u64,
}

impl ReachesAll {
    pub fn new(app: &str, pods: &Pods, rates: Rates) -> Self {
        let pods: Vec<String> = pods.get(app).into_iter().flatten().cloned().collect();
        Self {
            app: app.to_owned(),
            test: Coverage::new(pods.len(), rates.alpha),
            pods,
            alpha: rates.alpha,
            samples: 0,
        }
    }

    fn actual(&self, test: &Coverage) -> String {
        let (size, calls) = (self.pods.len(), self.samples);
        let missing: Vec<&str> = test.missing().map(|at| self.pods[at].as_str()).collect();
        let reached = size - missing.len();
        match test.decision() {
            Decision::Holds => format!("all {size} pods answered within {calls} calls"),
            Decision::Refuted => format!(
                "{reached} of {size} pods answered {calls} calls; none went to {}",
                missing.join(", ")
            ),
            Decision::Continue => format!(
                "{reached} of {size} pods answered {calls} calls; a starved pod shows only after {}",
                test.cap()
            ),
        }
    }
}

impl Sequential for ReachesAll {
    fn feed(&mut self, call: &Observation) -> Decision {
        let Some(test) = &mut self.test else {
            return Decision::Continue;
        };
        let (Decision::Continue, Some(pod)) = (test.decision(), answer::pod(call)) else {
            return test.decision();
        };
        self.samples += 1;
        test.feed(self.pods.iter().position(|known| known == pod))
    }

    fn cap(&self) -> Option<u64> {
        self.test.as_ref().map(Coverage::cap)
    }

    fn conclude(&self) -> Judgement {
        let Some(test) = &self.test else {
            let actual = format!("no pod of {} is known", self.app);
            return Judgement::of(Decision::Continue, actual, self.samples, String::new());
        };
        let method = format!(
            "coverage of {} pods, cap {} calls, alpha {:e}, stops when all are seen",
            self.pods.len(),
            test.cap(),
            self.alpha
        );
        Judgement::of(test.decision(), self.actual(test), self.samples, method)
    }
}
