//! `http-status`: the HTTP status of every response.

use statistics::Rates;
use testbed::control::Observation;

use super::spec::{Around, Exact, ExpectError, Form, Mistake, Spec};
use crate::verdict::{
    calls::Calls,
    judgement::{Judgement, every},
};

/// The expected status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpStatus(pub u16);

impl Spec for HttpStatus {
    const NAME: &'static str = "http-status";
    const DOC: &'static str = "HTTP status of every response (for responses that are not gRPC).";
    const FORMS: &'static [Form] = &[Form::exact(
        "`http-status: 503`",
        "every response has this HTTP status",
    )];
    const EVERY_CALL: bool = true;
    type Written = u16;

    fn read(written: &u16) -> Result<Self, ExpectError> {
        Ok(Self(*written))
    }

    fn expected(&self) -> String {
        self.0.to_string()
    }

    fn mistakes(&self, around: &Around<'_>) -> Vec<Mistake> {
        if !around.ok() || self.0 == 200 {
            return Vec::new();
        }
        vec![Mistake::new(
            format!("gRPC status OK is expected with HTTP status {}", self.0),
            "remove one of the two: gRPC responses have HTTP status 200",
        )]
    }
}

impl Exact for HttpStatus {
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        every(&calls.kept(), seen, |call| call.http_status == Some(self.0))
    }
}

fn seen(call: &Observation) -> String {
    call.http_status
        .map_or_else(|| "no HTTP response".to_owned(), |code| code.to_string())
}
