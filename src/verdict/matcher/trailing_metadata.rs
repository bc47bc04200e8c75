//! `trailing-metadata`: the trailers of each response, or the headers if it is Trailers-Only.

use statistics::Rates;

use super::{
    metadata::{self, Fields},
    spec::{Exact, ExpectError, Form, Spec},
};
use crate::verdict::{calls::Calls, fields, judgement::Judgement, text::fields_text};

/// The values of each key; `None`: the key must be absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailingMetadata(pub Fields);

impl Spec for TrailingMetadata {
    const NAME: &'static str = "trailing-metadata";
    const DOC: &'static str = "As `response`, for trailing metadata only: the trailers, or the headers if the response is Trailers-Only.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`trailing-metadata: {key: value}`",
        "each response has these values in its trailers (in its headers if it is Trailers-Only)",
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

impl Exact for TrailingMetadata {
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        metadata::every(&calls.kept(), &self.0, |call, key| {
            fields::all(fields::trailing(call), key)
        })
    }
}
