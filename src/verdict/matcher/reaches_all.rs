//! `reaches-all`: every pod of a workload gets calls ([`statistics::Coverage`]).

use statistics::{Coverage, Decision, Rates};
use testbed::control::Observation;

use super::spec::{Around, ExpectError, Form, Mistake, Named, Sample, Sampled, Spec};
use crate::verdict::{
    answer,
    judgement::{Judgement, SequentialTest},
    pods::{Pods, World},
};

/// The workload or `app`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReachesAll(pub String);

impl Spec for ReachesAll {
    const NAME: &'static str = "reaches-all";
    const DOC: &'static str =
        "Every pod of the workload (or `app`) answers at least one call (coverage test).";
    const FORMS: &'static [Form] = &[Form::sampled(
        "`reaches-all: APP`",
        "every pod of the workload (or `app`) answers: coverage test, which holds as soon as every pod has answered",
        "at most 21 / 37 / 70 for 2 / 3 / 5 pods",
    )];
    const COUNTS_ANSWERS: bool = true;
    type Written = String;

    fn read(written: &String) -> Result<Self, ExpectError> {
        Ok(Self(written.clone()))
    }

    fn expected(&self) -> String {
        format!("every pod of {} answers", self.0)
    }

    fn names(&self) -> Vec<Named<'_>> {
        vec![Named::App(&self.0)]
    }

    fn mistakes(&self, around: &Around<'_>) -> Vec<Mistake> {
        around.excluded_by_pinned(Self::NAME).into_iter().collect()
    }

    fn test(&self, sample: &Sample<'_>) -> String {
        let Sample { cap, rates, .. } = sample;
        format!("stops when every pod has answered, cap {cap} calls, {rates}")
    }
}

impl Sampled for ReachesAll {
    fn sequential(&self, world: &World<'_>, rates: Rates) -> Box<dyn SequentialTest> {
        Box::new(Test::new(&self.0, world.pods, rates))
    }
}

/// The test.
struct Test {
    app: String,
    pods: Vec<String>,
    test: Option<Coverage>,
    alpha: f64,
    samples: u64,
}

impl Test {
    fn new(app: &str, pods: &Pods, rates: Rates) -> Self {
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
                "{reached} of {size} pods answered {calls} calls; {} calls are needed to detect a starved pod",
                test.cap()
            ),
        }
    }
}

impl SequentialTest for Test {
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
            "coverage of {} pods, cap {} calls, alpha {:e}, stops when every pod has answered",
            self.pods.len(),
            test.cap(),
            self.alpha
        );
        Judgement::of(test.decision(), self.actual(test), self.samples, method)
    }
}
