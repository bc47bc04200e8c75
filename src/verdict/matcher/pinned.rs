//! `pinned`: all calls of one connection are answered by one pod. `false` is the same test with
//! both decisions exchanged, at alpha.

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

/// Whether one pod answers all calls of a connection, or several do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pinned(pub bool);

impl Spec for Pinned {
    const NAME: &'static str = "pinned";
    const DOC: &'static str = "Whether all calls of one connection are answered by one pod.";
    const FORMS: &'static [Form] = &[Form::sampled(
        "`pinned: true` (or `false`)",
        "one pod answers all calls of a connection: agreement within each connection, decided at once by a second pod",
        "21 / 14 / 10 for 2 / 3 / 5 pods",
    )];
    const COUNTS_ANSWERS: bool = true;
    type Written = bool;

    fn read(written: &bool) -> Result<Self, ExpectError> {
        Ok(Self(*written))
    }

    fn expected(&self) -> String {
        match self.0 {
            true => "one pod answers all calls of a connection".to_owned(),
            false => "several pods answer the calls of one connection".to_owned(),
        }
    }

    fn mistakes(&self, around: &Around<'_>) -> Vec<Mistake> {
        if !around.reconnect {
            return Vec::new();
        }
        vec![Mistake::new(
            "'pinned' with a new connection for each call",
            "remove `reconnect`: 'pinned' is about the calls of one connection",
        )]
    }

    fn test(&self, sample: &Sample<'_>) -> String {
        Groups::method(sample)
    }
}

impl Sampled for Pinned {
    fn sequential(&self, world: &World<'_>, rates: Rates) -> Box<dyn SequentialTest> {
        Box::new(Test::new(self.0, world.pods, rates))
    }
}

/// The test. A group is a connection.
struct Test {
    expected: bool,
    groups: Groups,
}

impl Test {
    fn new(expected: bool, pods: &Pods, rates: Rates) -> Self {
        let rate = if expected { rates.beta } else { rates.alpha };
        Self {
            expected,
            groups: Groups::new(pods, rate, "connection"),
        }
    }

    fn decision(&self) -> Decision {
        match (self.groups.test.decision(), self.expected) {
            (decision, true) => decision,
            (Decision::Holds, false) => Decision::Refuted,
            (Decision::Refuted, false) => Decision::Holds,
            (Decision::Continue, false) => Decision::Continue,
        }
    }
}

impl SequentialTest for Test {
    fn feed(&mut self, call: &Observation) -> Decision {
        if let (Decision::Continue, Some(pod)) = (self.decision(), answer::pod(call)) {
            self.groups.feed(call.connection, pod);
        }
        self.decision()
    }

    fn cap(&self) -> Option<u64> {
        self.groups.largest_need()
    }

    fn conclude(&self) -> Judgement {
        let letter = if self.expected { "beta" } else { "alpha" };
        self.groups.judgement(self.decision(), letter)
    }
}
