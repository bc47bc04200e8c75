//! `attempts`: how many attempts the servers counted for each call. A client cannot see retries
//! that succeed.

use statistics::Rates;
use testbed::control::Observation;

use super::spec::{Around, Exact, ExpectError, Form, Mistake, Spec};
use crate::{
    values::range::CountRange,
    verdict::{
        calls::Calls,
        judgement::{Judgement, decide, exact},
        tally::Tally,
    },
};

/// The number of attempts for each call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts(pub CountRange);

impl Spec for Attempts {
    const NAME: &'static str = "attempts";
    const DOC: &'static str =
        "Number of attempts per call that the servers counted: exact (`4`) or a range (`1..4`).";
    const FORMS: &'static [Form] = &[Form::exact(
        "`attempts: 3`, `1..4`",
        "the servers counted this number of attempts for each call, over all pods",
    )];
    const LOOKS_AT: &'static str = "from the servers' ledger";
    const EVERY_CALL: bool = true;
    type Written = String;

    fn read(written: &String) -> Result<Self, ExpectError> {
        let counts = CountRange::parse(written).map_err(ExpectError::value(Self::NAME))?;
        Ok(Self(counts))
    }

    fn expected(&self) -> String {
        format!("{} per call", self.0)
    }

    fn mistakes(&self, around: &Around<'_>) -> Vec<Mistake> {
        if !around.ok() || self.0.to != 0 {
            return Vec::new();
        }
        vec![Mistake::new(
            "status OK is expected without an attempt at any server",
            "change `status` or `attempts`: an answered call has at least one attempt",
        )]
    }
}

impl Exact for Attempts {
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        let kept = calls.kept();
        let number = |call: &&Observation| calls.attempts_of(call).len() as u64;
        let tally: Tally = kept.iter().map(|call| plural(number(call))).collect();
        let good = kept.iter().all(|call| self.0.contains(number(call)));
        exact(decide(kept.is_empty(), good), tally)
    }
}

fn plural(attempts: u64) -> String {
    match attempts {
        0 => "no attempt".to_owned(),
        1 => "1 attempt".to_owned(),
        n => format!("{n} attempts"),
    }
}
