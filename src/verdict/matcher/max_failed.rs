//! `max-failed`: calls that may end otherwise than `status` says.

use statistics::Rates;
use testbed::control::Observation;

use super::spec::{Around, Exact, ExpectError, Form, Mistake, Spec};
use crate::{
    values::status,
    verdict::{
        calls::Calls,
        judgement::{Judgement, decide, exact},
        logged, producer,
        tally::{Tally, short},
    },
};

/// The most of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxFailed(pub u64);

impl Spec for MaxFailed {
    const NAME: &'static str = "max-failed";
    const DOC: &'static str =
        "Calls that may fail (any status but the expected), at most; 0 when absent.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`max-failed: 2`",
        "at most so many calls end otherwise; they are then no evidence for other matchers",
    )];
    const EVERY_CALL: bool = true;
    type Written = u64;

    fn read(written: &u64) -> Result<Self, ExpectError> {
        Ok(Self(*written))
    }

    fn expected(&self) -> String {
        match self.0 {
            0 => "no call lost".to_owned(),
            most => format!("at most {most} lost"),
        }
    }

    fn mistakes(&self, around: &Around<'_>) -> Vec<Mistake> {
        let vacuous = around.times.filter(|times| self.0 >= *times);
        let told = vacuous.map(|times| {
            let message = format!("{} calls may be lost of {times} made", self.0);
            Mistake::new(message, "permit fewer losses than calls")
        });
        told.into_iter().collect()
    }
}

impl Exact for MaxFailed {
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        judge(calls)
    }
}

/// `status` and `max-failed` are one rule: at most so many calls may end otherwise (none, unless `max-failed`
/// says more).
pub(super) fn judge(calls: &Calls<'_>) -> Judgement {
    let tally = calls.judged.iter().map(|call| {
        let name = status::name(call.status.code);
        if !calls.is_lost(call) {
            return name;
        }
        let by = producer::name(calls.producer(call));
        let words = short(&reason(call), 60);
        match (logged::reason(&calls.seen.logged, call), words.as_str()) {
            (Some(why), "") => format!("{name} ({why})"),
            (Some(why), words) => format!("{name} (from {by}: \"{words}\"; {why})"),
            (None, words) => format!("{name} (from {by}: \"{words}\")"),
        }
    });
    let tally: Tally = tally.collect();
    let lost = calls
        .judged
        .iter()
        .filter(|call| calls.is_lost(call))
        .count() as u64;
    exact(decide(calls.judged.is_empty(), lost <= calls.lost), tally)
}

/// The most telling words that a failed call carries.
pub(super) fn reason(call: &Observation) -> String {
    if let Some(error) = &call.transport_error {
        return error.clone();
    }
    match (&call.reset, call.status.message.as_str()) {
        (Some(reset), "") => format!("RST_STREAM {}", reset.code),
        (_, message) => message.to_owned(),
    }
}
