//! `server-pings`: the number of PING frames that the servers received on the connections of these
//! calls.

use statistics::Rates;

use super::{
    connections::{connections, total},
    spec::{Exact, ExpectError, Form, Spec},
};
use crate::{
    values::range::CountRange,
    verdict::{calls::Calls, judgement::Judgement},
};

/// The number of PING frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerPings(pub CountRange);

impl Spec for ServerPings {
    const NAME: &'static str = "server-pings";
    const DOC: &'static str = "Number of PING frames that the servers received on the connections of these calls: exact (`0`) or a range (`1..`).";
    const FORMS: &'static [Form] = &[Form::exact(
        "`server-pings: \"0\"`",
        "the servers received this number of PING frames on the connections of these calls",
    )];
    const LOOKS_AT: &'static str = "from the servers' ledger";
    type Written = String;

    fn read(written: &String) -> Result<Self, ExpectError> {
        let counts = CountRange::parse(written).map_err(ExpectError::value(Self::NAME))?;
        Ok(Self(counts))
    }

    fn expected(&self) -> String {
        format!("{} PING frames at the servers", self.0)
    }
}

impl Exact for ServerPings {
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        let attempts = calls.seen.attempts.as_slice();
        let number = connections(attempts).into_values().sum();
        total(attempts, self.0, number, "PING frames")
    }
}
