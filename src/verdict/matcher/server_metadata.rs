//! `server-metadata`: request metadata as the servers received it.

use statistics::Rates;
use testbed::control::Attempt;

use super::{
    metadata::{self, Fields},
    spec::{Exact, ExpectError, Form, Spec},
};
use crate::verdict::{
    calls::Calls,
    fields,
    judgement::{Judgement, every_attempt},
    text::fields_text,
};

/// The values of each key; `None`: the key must be absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerMetadata(pub Fields);

impl Spec for ServerMetadata {
    const NAME: &'static str = "server-metadata";
    const DOC: &'static str =
        "Request metadata that the servers received, in the form of `response`.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`server-metadata: {key: value}`",
        "the request metadata of every attempt that reached a server has exactly these values; `:authority` is allowed as a key",
    )];
    const LOOKS_AT: &'static str = "from the servers' ledger";
    const EVERY_CALL: bool = true;
    type Written = Fields;

    fn read(written: &Fields) -> Result<Self, ExpectError> {
        metadata::read(Self::NAME, written).map(Self)
    }

    fn expected(&self) -> String {
        fields_text(&self.0)
    }

    fn expand(&mut self, expand: &dyn Fn(&str) -> String) {
        metadata::expand(&mut self.0, expand);
    }
}

impl Exact for ServerMetadata {
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        every_attempt(
            calls,
            |attempt| fields::seen(&self.0, |key| sent(attempt, key)),
            |attempt| fields::matches(&self.0, |key| sent(attempt, key)),
        )
    }
}

/// The values that arrived. `:authority` has a separate field in the ledger.
fn sent<'a>(attempt: &'a Attempt, key: &str) -> Vec<&'a str> {
    match key {
        ":authority" => vec![attempt.authority.as_str()],
        key => fields::all(&attempt.metadata, key),
    }
}
