//! `status-in`: where each response has its `grpc-status`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statistics::Rates;
use testbed::control::Observation;

use super::spec::{Exact, ExpectError, Form, Spec};
use crate::verdict::{
    calls::Calls,
    fields,
    judgement::{Judgement, every},
};

/// The position of `grpc-status` in a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StatusIn {
    /// In the trailers frame that ends a gRPC-Web body.
    Body,
    /// In the headers (Trailers-Only).
    Headers,
    /// In HTTP trailers.
    Trailers,
    /// The response has none.
    Nowhere,
}

impl StatusIn {
    fn of(call: &Observation) -> Self {
        let has = |of: &[(String, String)]| !fields::all(of, "grpc-status").is_empty();
        match &call.web {
            Some(web) if web.trailers_frame && has(&call.trailers) => Self::Body,
            _ if has(&call.trailers) => Self::Trailers,
            _ if has(&call.headers) => Self::Headers,
            _ => Self::Nowhere,
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Body => "in the body",
            Self::Headers => "in the headers",
            Self::Trailers => "in the trailers",
            Self::Nowhere => "no grpc-status",
        }
    }
}

impl Spec for StatusIn {
    const NAME: &'static str = "status-in";
    const DOC: &'static str = "Where every response has its `grpc-status`.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`status-in: body`",
        "every response has its `grpc-status` here: `body` (the trailers frame that ends a gRPC-Web body), `headers`, `trailers`, `nowhere`",
    )];
    const EVERY_CALL: bool = true;
    type Written = Self;

    fn read(written: &Self) -> Result<Self, ExpectError> {
        Ok(*written)
    }

    fn expected(&self) -> String {
        self.describe().to_owned()
    }
}

impl Exact for StatusIn {
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        every(
            &calls.kept(),
            |call| Self::of(call).describe().to_owned(),
            |call| Self::of(call) == *self,
        )
    }
}
