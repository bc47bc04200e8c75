//! `max-failed`: how many calls may end with another status than `status`.

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

/// The maximum number of failed calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxFailed(pub u64);

impl Spec for MaxFailed {
    const NAME: &'static str = "max-failed";
    const DOC: &'static str = "Maximum number of calls that may fail (end with another status than `status`). The default is 0.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`max-failed: 2`",
        "at most this number of calls end with another status than `status`; other matchers then ignore these calls",
    )];
    const EVERY_CALL: bool = true;
    type Written = u64;

    fn read(written: &u64) -> Result<Self, ExpectError> {
        Ok(Self(*written))
    }

    fn expected(&self) -> String {
        match self.0 {
            0 => "no failed call".to_owned(),
            most => format!("at most {most} failed"),
        }
    }

    fn mistakes(&self, around: &Around<'_>) -> Vec<Mistake> {
        let vacuous = around.times.filter(|times| self.0 >= *times);
        let reported = vacuous.map(|times| {
            let message = format!("{} of {times} calls may fail", self.0);
            Mistake::new(message, "set `max-failed` below the number of calls")
        });
        reported.into_iter().collect()
    }
}

impl Exact for MaxFailed {
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        judge(calls)
    }
}

/// Judges `status` and `max-failed`, which are one rule: at most `max-failed` calls (by default
/// none) may end with another status.
pub(super) fn judge(calls: &Calls<'_>) -> Judgement {
    let tally = calls.judged.iter().map(|call| {
        let name = status::name(call.status.code);
        if !calls.is_lost(call) {
            return name;
        }
        let by = producer::name(calls.producer(call));
        let message = short(&reason(call), 60);
        match (logged::reason(&calls.seen.logged, call), message.as_str()) {
            (Some(why), "") => format!("{name} ({why})"),
            (Some(why), message) => format!("{name} (from {by}: \"{message}\"; {why})"),
            (None, message) => format!("{name} (from {by}: \"{message}\")"),
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

/// The most specific error text of a failed call.
pub(super) fn reason(call: &Observation) -> String {
    if let Some(error) = &call.transport_error {
        return error.clone();
    }
    match (&call.reset, call.status.message.as_str()) {
        (Some(reset), "") => format!("RST_STREAM {}", reset.code),
        (_, message) => message.to_owned(),
    }
}
