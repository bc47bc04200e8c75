//! `status`: the gRPC status of every call.

use statistics::Rates;
use testbed::control::Observation;

use super::{
    max_failed,
    spec::{Exact, ExpectError, Form, Spec},
};
use crate::{
    values::status,
    verdict::{calls::Calls, judgement::Judgement},
};

/// The expected status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u32);

impl Spec for Status {
    const NAME: &'static str = "status";
    const DOC: &'static str = "gRPC status of every call, by name (`OK`, `UNAVAILABLE`) or number.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`status: OK`",
        "every call ends with this gRPC status (name or number)",
    )];
    const EVERY_CALL: bool = true;
    type Written = String;

    fn read(written: &String) -> Result<Self, ExpectError> {
        status::code(written).map(Self).ok_or_else(|| ExpectError::Unknown {
            field: Self::NAME,
            message: format!(
                "unknown gRPC status '{written}': write a name in capitals (UNAVAILABLE) or a number (0 to 16)"
            ),
            word: written.clone(),
            known: status::names(),
        })
    }

    fn expected(&self) -> String {
        status::name(self.0)
    }
}

impl Exact for Status {
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        max_failed::judge(calls)
    }

    fn is_refuted_by(&self, call: &Observation) -> Option<bool> {
        Some(call.status.code != self.0)
    }
}
