//! `spread` with policy `even`: the largest and the smallest count after a fixed number of calls,
//! against "one pod gets twice as many as each other" ([`statistics::Evenness`]).

use statistics::{Decision, Evenness, Rates};
use testbed::control::Observation;

use crate::verdict::{
    answer,
    judgement::{Judgement, SequentialTest},
    pods::Pods,
};

#[derive(Clone)]
pub struct Even {
    over: String,
    pods: Vec<String>,
    test: Option<Evenness>,
    rates: Rates,
    samples: u64,
    stray: Option<String>,
}

impl Even {
    pub fn new(over: &str, pods: &Pods, rates: Rates) -> Self {
        let pods: Vec<String> = pods.get(over).into_iter().flatten().cloned().collect();
        Self {
            over: over.to_owned(),
            test: Evenness::new(pods.len(), rates),
            pods,
            rates,
            samples: 0,
            stray: None,
        }
    }

    fn actual(&self) -> String {
        if let Some(pod) = &self.stray {
            return format!("{pod} answered, which is not a pod of {}", self.over);
        }
        let Some(test) = &self.test else {
            return format!(
                "{} pods of {} are known: the test needs at least 2",
                self.pods.len(),
                self.over
            );
        };
        let counts: Vec<String> = test.counts().iter().map(ToString::to_string).collect();
        let counts = counts.join("/");
        let (least, most) = test.limits();
        match test.decision() {
            Decision::Continue => format!(
                "{counts} after {} calls; the test needs {} calls",
                self.samples,
                test.size()
            ),
            _ => format!(
                "{counts} of {} calls (limits {least} to {most})",
                self.samples
            ),
        }
    }
}

impl SequentialTest for Even {
    fn feed(&mut self, call: &Observation) -> Decision {
        let Some(test) = &mut self.test else {
            return Decision::Continue;
        };
        let (Decision::Continue, Some(pod)) = (test.decision(), answer::pod(call)) else {
            return test.decision();
        };
        self.samples += 1;
        let at = self.pods.iter().position(|known| known == pod);
        if at.is_none() {
            self.stray = Some(pod.to_owned());
        }
        test.feed(at)
    }

    fn cap(&self) -> Option<u64> {
        self.test.as_ref().map(Evenness::size)
    }

    fn conclude(&self) -> Judgement {
        let (decision, method) = match &self.test {
            None => (Decision::Continue, String::new()),
            Some(test) => (
                test.decision(),
                format!(
                    "exact binomial tests of the largest and smallest of {} counts at {} calls, against one pod with twice the share of each other, {}",
                    self.pods.len(),
                    test.size(),
                    self.rates
                ),
            ),
        };
        Judgement::of(decision, self.actual(), self.samples, method)
    }
}
