//! `upstream-protocol`: the HTTP version with which each attempt arrived at its server.

use statistics::Rates;

use super::spec::{Exact, ExpectError, Form, Spec};
use crate::verdict::{
    calls::Calls,
    judgement::{Judgement, every_attempt},
};

const KNOWN: [&str; 2] = ["HTTP/2.0", "HTTP/1.1"];

/// The version, as servers write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamProtocol(pub String);

impl Spec for UpstreamProtocol {
    const NAME: &'static str = "upstream-protocol";
    const DOC: &'static str =
        "HTTP version with which every attempt arrived at its server: `HTTP/2.0` or `HTTP/1.1`.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`upstream-protocol: HTTP/2.0`",
        "every attempt arrived at its server with this HTTP version: `HTTP/2.0` or `HTTP/1.1`",
    )];
    const LOOKS_AT: &'static str = "from the servers' ledger";
    const EVERY_CALL: bool = true;
    type Written = String;

    fn read(written: &String) -> Result<Self, ExpectError> {
        ExpectError::one_of(Self::NAME, written, &KNOWN, || {
            format!("unknown HTTP version '{written}': write HTTP/2.0 or HTTP/1.1")
        })
        .map(Self)
    }

    fn expected(&self) -> String {
        self.0.clone()
    }
}

impl Exact for UpstreamProtocol {
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        every_attempt(
            calls,
            |attempt| attempt.protocol.clone(),
            |attempt| attempt.protocol == self.0,
        )
    }
}
