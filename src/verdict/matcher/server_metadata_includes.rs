//! `server-metadata-includes`: one of the values that a key of request metadata had at the servers.

use std::collections::BTreeMap;

use statistics::Rates;
use testbed::binary;

use super::spec::{Around, Exact, ExpectError, Form, Mistake, Spec};
use crate::verdict::{
    calls::Calls,
    fields,
    judgement::{Judgement, every_attempt},
};

/// One value of each key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerMetadataIncludes(pub BTreeMap<String, String>);

impl Spec for ServerMetadataIncludes {
    const NAME: &'static str = "server-metadata-includes";
    const DOC: &'static str = "A value that each key has, possibly among others, in the request metadata that the servers received.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`server-metadata-includes: {key: value}`",
        "every attempt that reached a server has this value among the values of each key; for keys to which a proxy adds values, because `server-metadata` must list all of them",
    )];
    const LOOKS_AT: &'static str = "from the servers' ledger";
    const EVERY_CALL: bool = true;
    type Written = BTreeMap<String, String>;

    fn read(written: &Self::Written) -> Result<Self, ExpectError> {
        match written.keys().find(|key| binary::is_binary(key)) {
            Some(key) => Err(ExpectError::Text {
                field: Self::NAME,
                message: format!(
                    "{}: keys that end in -bin hold bytes: list all values of {key} in `server-metadata`",
                    Self::NAME
                ),
            }),
            None => Ok(Self(written.clone())),
        }
    }

    fn expected(&self) -> String {
        let each = self.0.iter();
        let each = each.map(|(key, value)| format!("{value} among the values of {key}"));
        each.collect::<Vec<_>>().join(", ")
    }

    fn expand(&mut self, expand: &dyn Fn(&str) -> String) {
        self.0.values_mut().for_each(|value| *value = expand(value));
    }

    fn mistakes(&self, _: &Around<'_>) -> Vec<Mistake> {
        if !self.0.is_empty() {
            return Vec::new();
        }
        vec![Mistake::new(
            "'server-metadata-includes' names no key",
            "name a key and a value: `server-metadata-includes: {x-user: ada}`",
        )]
    }
}

impl Exact for ServerMetadataIncludes {
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        let keys = self.0.keys().map(|key| (key.clone(), None::<String>));
        let keys: BTreeMap<String, Option<String>> = keys.collect();
        every_attempt(
            calls,
            |attempt| fields::seen(&keys, |key| fields::all(&attempt.metadata, key)),
            |attempt| {
                let mut each = self.0.iter();
                each.all(|(key, value)| {
                    fields::all(&attempt.metadata, key).contains(&value.as_str())
                })
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{
        outcome::CheckResult,
        testing::{order, result},
    };

    #[rstest::rstest]
    #[case::alone(&["ada"], CheckResult::Holds)]
    #[case::among_others(&["mesh", "ada"], CheckResult::Holds)]
    #[case::another(&["mesh"], CheckResult::Refuted)]
    #[case::joined_by_a_comma(&["mesh, ada"], CheckResult::Refuted)]
    #[case::none(&[], CheckResult::Refuted)]
    fn one_of_the_values_is_enough(#[case] values: &[&str], #[case] expected: CheckResult) {
        let mut seen = order("a", 1);
        let sent = values
            .iter()
            .map(|value| ("x-user".to_owned(), (*value).to_owned()));
        seen.attempts[0].metadata = sent.collect();
        let claim = "server-metadata-includes: {x-user: ada}";
        assert_eq!(result(claim, &seen).0, expected);
        seen.attempts.clear();
        assert_eq!(result(claim, &seen).0, CheckResult::Undecided);
    }

    #[test]
    fn bytes_are_no_text() {
        let written = BTreeMap::from([("x-one-bin".to_owned(), "AA".to_owned())]);
        let error = ServerMetadataIncludes::read(&written).expect_err("bytes");
        assert!(error.to_string().contains("x-one-bin"), "{error}");
    }
}
