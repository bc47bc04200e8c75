//! `sticky-by`: calls with the same value of a request metadata key are answered by one pod.

use statistics::{Decision, Rates};
use testbed::control::Observation;

use super::{
    groups::Groups,
    spec::{Around, ExpectError, Form, Mistake, Sample, Sampled, Spec},
};
use crate::verdict::{
    answer,
    judgement::{Judgement, SequentialTest},
    pods::{Pods, World},
};

/// The metadata key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StickyBy(pub String);

impl Spec for StickyBy {
    const NAME: &'static str = "sticky-by";
    const DOC: &'static str =
        "Calls with the same value of this request metadata key are answered by one pod.";
    const FORMS: &'static [Form] = &[Form::sampled(
        "`sticky-by: KEY`",
        "as `pinned`, for the calls with the same value of this metadata key, over all connections",
        "21 / 14 / 10 for 2 / 3 / 5 pods",
    )];
    const COUNTS_ANSWERS: bool = true;
    type Written = String;

    fn read(written: &String) -> Result<Self, ExpectError> {
        Ok(Self(written.clone()))
    }

    fn expected(&self) -> String {
        format!("calls with the same {} are answered by one pod", self.0)
    }

    fn mistakes(&self, around: &Around<'_>) -> Vec<Mistake> {
        let key = &self.0;
        if !around.per_call.contains_key(key) {
            return Vec::new();
        }
        vec![Mistake::new(
            format!("'sticky-by' on '{key}', whose value differs from call to call"),
            "send one value with `metadata`, or compare two runs with `remapped`",
        )]
    }

    fn test(&self, sample: &Sample<'_>) -> String {
        Groups::method(sample)
    }
}

impl Sampled for StickyBy {
    fn sequential(&self, world: &World<'_>, rates: Rates) -> Box<dyn SequentialTest> {
        Box::new(Test::new(world.pods, rates))
    }
}

/// The test. One run sends one value, over any number of connections.
struct Test {
    groups: Groups,
}

impl Test {
    fn new(pods: &Pods, rates: Rates) -> Self {
        Self {
            groups: Groups::new(pods, rates.beta, "calls with the same value"),
        }
    }
}

impl SequentialTest for Test {
    fn feed(&mut self, call: &Observation) -> Decision {
        if let (Decision::Continue, Some(pod)) = (self.groups.test.decision(), answer::pod(call)) {
            self.groups.feed(0, pod);
        }
        self.groups.test.decision()
    }

    fn cap(&self) -> Option<u64> {
        self.groups.largest_need()
    }

    fn conclude(&self) -> Judgement {
        self.groups.judgement(self.groups.test.decision(), "beta")
    }
}
