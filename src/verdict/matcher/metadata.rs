//! Code that the matchers on metadata share.

use testbed::control::Observation;

use super::spec::ExpectError;
pub use crate::values::metadata::Fields;
use crate::{
    values::metadata::binary_fault,
    verdict::{
        fields,
        judgement::{self, Judgement},
    },
};

/// Parses the values of a matcher.
///
/// # Errors
/// The value of a `-bin` key is not base64.
pub fn read(field: &'static str, written: &Fields) -> Result<Fields, ExpectError> {
    let each = written.iter();
    let mut faults = each.filter_map(|(key, values)| binary_fault(key, values.as_ref()?));
    match faults.next() {
        Some(text) => Err(ExpectError::Text {
            field,
            message: format!("{field}: {text}: keys that end in -bin hold bytes"),
        }),
        None => Ok(written.clone()),
    }
}

/// Replaces the placeholders of the values.
pub fn expand(expected: &mut Fields, expand: &dyn Fn(&str) -> String) {
    let each = expected.values_mut().flatten();
    each.for_each(|values| *values = values.map(expand));
}

/// Whether every call has exactly the expected values.
pub fn every(
    calls: &[&Observation],
    expected: &Fields,
    all: impl for<'c> Fn(&'c Observation, &str) -> Vec<&'c str>,
) -> Judgement {
    judgement::every(
        calls,
        |call| fields::seen(expected, |key| all(call, key)),
        |call| fields::matches(expected, |key| all(call, key)),
    )
}
