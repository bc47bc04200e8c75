//! `message`: the message of each status.

use statistics::Rates;
use testbed::control::Observation;

use super::spec::{Exact, ExpectError, Form, Spec};
use crate::verdict::{
    calls::Calls,
    judgement::{Judgement, every},
    tally::short,
};

/// A substring of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message(pub String);

impl Spec for Message {
    const NAME: &'static str = "message";
    const DOC: &'static str = "Substring of `grpc-message` that every call must have.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`message: TEXT`",
        "`grpc-message` of every call contains this text",
    )];
    const EVERY_CALL: bool = true;
    type Written = String;

    fn read(written: &String) -> Result<Self, ExpectError> {
        Ok(Self(written.clone()))
    }

    fn expected(&self) -> String {
        format!("a message that contains \"{}\"", self.0)
    }

    fn expand(&mut self, expand: &dyn Fn(&str) -> String) {
        self.0 = expand(&self.0);
    }
}

impl Exact for Message {
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        every(&calls.kept(), seen, |call| {
            call.status.message.contains(&self.0)
        })
    }
}

fn seen(call: &Observation) -> String {
    match call.status.message.as_str() {
        "" => "no message".to_owned(),
        some => format!("\"{}\"", short(some, 80)),
    }
}
