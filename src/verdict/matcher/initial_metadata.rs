//! `initial-metadata`: headers of each answer, unless it is trailers only.

use statistics::Rates;

use super::{
    metadata::{self, Fields},
    spec::{Exact, ExpectError, Form, Spec},
};
use crate::verdict::{calls::Calls, fields, judgement::Judgement, words::field_words};

/// The values of each key; `None`: it must be absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitialMetadata(pub Fields);

impl Spec for InitialMetadata {
    const NAME: &'static str = "initial-metadata";
    const DOC: &'static str =
        "The same of initial metadata alone: headers, unless the answer is trailers only.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`initial-metadata: {key: value}`",
        "headers alone (none in an answer that is trailers only)",
    )];
    const EVERY_CALL: bool = true;
    type Written = Fields;

    fn read(written: &Fields) -> Result<Self, ExpectError> {
        metadata::read(Self::NAME, written).map(Self)
    }

    fn expected(&self) -> String {
        field_words(&self.0)
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
