//! `response`: headers and trailers of each response, taken together.

use statistics::Rates;

use super::{
    metadata::{self, Fields},
    spec::{Exact, ExpectError, Form, Spec},
};
use crate::verdict::{calls::Calls, fields, judgement::Judgement, text::fields_text};

/// The values of each key; `None`: the key must be absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response(pub Fields);

impl Spec for Response {
    const NAME: &'static str = "response";
    const DOC: &'static str = "Response metadata, headers and trailers together: each key has exactly these values, in this order; `null`: the key is absent.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`response: {key: value}`",
        "headers and trailers of each response, together, have exactly these values (`null`: the key is absent)",
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

impl Exact for Response {
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        metadata::every(&calls.kept(), &self.0, |call, key| {
            let mut all = fields::all(&call.headers, key);
            all.extend(fields::all(&call.trailers, key));
            all
        })
    }
}
