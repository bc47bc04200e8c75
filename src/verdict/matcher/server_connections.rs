//! `server-connections`: the number of connections over which these calls reached the servers.

use statistics::Rates;

use super::{
    connections::{connections, total},
    spec::{Exact, ExpectError, Form, Spec},
};
use crate::{
    values::range::CountRange,
    verdict::{calls::Calls, judgement::Judgement},
};

/// The number of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerConnections(pub CountRange);

impl Spec for ServerConnections {
    const NAME: &'static str = "server-connections";
    const DOC: &'static str = "Number of connections over which these calls reached the servers: exact (`1`) or a range (`1..`).";
    const FORMS: &'static [Form] = &[Form::exact(
        "`server-connections: \"1\"`",
        "these calls reached the servers over this number of connections",
    )];
    const LOOKS_AT: &'static str = "from the servers' ledger";
    type Written = String;

    fn read(written: &String) -> Result<Self, ExpectError> {
        let counts = CountRange::parse(written).map_err(ExpectError::value(Self::NAME))?;
        Ok(Self(counts))
    }

    fn expected(&self) -> String {
        format!("{} connections at the servers", self.0)
    }
}

impl Exact for ServerConnections {
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        let attempts = calls.seen.attempts.as_slice();
        let number = connections(attempts).len() as u64;
        total(attempts, self.0, number, "connections")
    }
}
