//! `initial-metadata`: the headers of each response, unless it is Trailers-Only.

use statistics::Rates;

use super::{
    metadata::{self, Fields},
    spec::{Exact, ExpectError, Form, Spec},
};
use crate::verdict::{calls::Calls, fields, judgement::Judgement, text::fields_text};

/// The values of each key; `None`: the key must be absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitialMetadata(pub Fields);

impl Spec for InitialMetadata {
    const NAME: &'static str = "initial-metadata";
    const DOC: &'static str = "As `response`, for initial metadata only: the headers, unless the response is Trailers-Only.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`initial-metadata: {key: value}`",
        "each response has these values in its headers (a Trailers-Only response has no initial metadata)",
    )];
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

impl Exact for InitialMetadata {
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        metadata::every(&calls.kept(), &self.0, |call, key| {
            fields::all(fields::initial(call), key)
        })
    }
}
