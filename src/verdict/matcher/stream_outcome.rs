//! `stream-outcome`: how each attempt ended at its server.

use statistics::Rates;

use super::spec::{Exact, ExpectError, Form, Spec};
use crate::verdict::{
    calls::Calls,
    judgement::{Judgement, each},
};

const KNOWN: [&str; 3] = ["answered", "cancelled", "reset"];

/// The outcome, as the ledgers write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamOutcome(pub String);

impl Spec for StreamOutcome {
    const NAME: &'static str = "stream-outcome";
    const DOC: &'static str = "How every attempt ended at its server: `answered`, `cancelled` (the peer reset it, or the connection broke), or `reset` (the server reset it, according to its script).";
    const FORMS: &'static [Form] = &[Form::exact(
        "`stream-outcome: cancelled`",
        "every attempt ended like this at its server: `answered`, `cancelled` (the peer reset it, or the connection broke), or `reset` (the server reset it, according to its script)",
    )];
    const LOOKS_AT: &'static str = "from the servers' ledger";
    type Written = String;

    fn read(written: &String) -> Result<Self, ExpectError> {
        ExpectError::one_of(Self::NAME, written, &KNOWN, || {
            format!("unknown outcome '{written}': write answered, cancelled or reset")
        })
        .map(Self)
    }

    fn expected(&self) -> String {
        format!("{} at the server", self.0)
    }
}

impl Exact for StreamOutcome {
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        let attempts = calls.seen.attempts.iter();
        each(attempts.map(|attempt| (attempt.end == self.0, attempt.end.clone())))
    }
}
