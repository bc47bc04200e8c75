//! Headers, trailers and metadata: all values of a key, and whether they are as expected.
//!
//! A key may be repeated. The rule is the same everywhere: exactly the expected values, in their
//! order. One expected value means that there is exactly one. Keys that end in `-bin` hold bytes
//! and are compared as bytes.

use std::collections::BTreeMap;

use testbed::{binary, control::Observation};

use super::tally::short;
use crate::values::metadata::Values;

/// All values of a key in the order of their arrival. The key is case-insensitive.
pub fn all<'f>(fields: &'f [(String, String)], key: &str) -> Vec<&'f str> {
    let named = fields
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(key));
    named.map(|(_, value)| value.as_str()).collect()
}

/// The first value of a key.
pub fn first<'f>(fields: &'f [(String, String)], key: &str) -> Option<&'f str> {
    let named = fields
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(key));
    named.map(|(_, value)| value.as_str())
}

/// Like [`all`], but as one value, as a reader sees it that joins repeated fields (RFC 9110 section
/// 5.3; the Fetch standard's "get").
pub fn joined(fields: &[(String, String)], key: &str) -> Option<String> {
    let values = all(fields, key);
    (!values.is_empty()).then(|| values.join(", "))
}

/// The value of a key that has exactly one value.
pub fn only<'f>(fields: &'f [(String, String)], key: &str) -> Option<&'f str> {
    match all(fields, key).as_slice() {
        [one] => Some(one),
        _ => None,
    }
}

/// Metadata that the client received before the first message; none in a Trailers-Only response
/// (gRPC over HTTP/2).
pub fn initial(call: &Observation) -> &[(String, String)] {
    match call.trailers_only {
        true => &[],
        false => &call.headers,
    }
}

/// Metadata that the client received with the status.
pub fn trailing(call: &Observation) -> &[(String, String)] {
    match call.trailers_only {
        true => &call.headers,
        false => &call.trailers,
    }
}

/// The values that an author may expect of a key.
pub trait Wanted {
    fn values(&self) -> &[String];
}

impl Wanted for String {
    fn values(&self) -> &[String] {
        std::slice::from_ref(self)
    }
}

impl Wanted for Values {
    fn values(&self) -> &[String] {
        self.all()
    }
}

/// The observed values of the expected fields, in the form of the expectation.
pub fn seen<'f, W>(
    expected: &BTreeMap<String, Option<W>>,
    all: impl Fn(&str) -> Vec<&'f str>,
) -> String {
    let field = |key: &String| match all(key).as_slice() {
        [] => format!("no {key}"),
        [one] => format!("{key}: {}", short(one, 80)),
        several => {
            let each = several.iter().map(|value| short(value, 80));
            format!("{key}: [{}]", each.collect::<Vec<_>>().join(", "))
        }
    };
    expected.keys().map(field).collect::<Vec<_>>().join(", ")
}

/// Whether each field has exactly its expected values, or is absent if `None` is expected.
pub fn matches<'f, W: Wanted>(
    expected: &BTreeMap<String, Option<W>>,
    all: impl Fn(&str) -> Vec<&'f str>,
) -> bool {
    expected.iter().all(|(key, expected)| {
        let found = all(key);
        match expected {
            None => found.is_empty(),
            Some(expected) if binary::is_binary(key) => same_bytes(expected.values(), &found),
            Some(expected) => expected.values() == found,
        }
    })
}

fn same_bytes(expected: &[String], found: &[&str]) -> bool {
    let expected = binary::decode_all(expected.iter().map(String::as_str));
    let found = (!found.is_empty()).then(|| binary::decode_all(found.iter().copied()));
    expected.is_some() && Some(expected) == found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(pair).collect()
    }

    fn holds(expected: &str, found: &[(&str, &str)]) -> bool {
        let expected: BTreeMap<String, Option<Values>> = serde_yaml::from_str(expected).unwrap();
        let found = fields(found);
        matches(&expected, |key| all(&found, key))
    }

    #[rstest::rstest]
    #[case::one("{k: a}", &[("k", "a")], true)]
    #[case::another_key("{k: a}", &[("k", "a"), ("l", "b")], true)]
    #[case::without_case("{k: a}", &[("K", "a")], true)]
    #[case::one_too_many("{k: a}", &[("k", "a"), ("k", "b")], false)]
    #[case::the_same_twice("{k: a}", &[("k", "a"), ("k", "a")], false)]
    #[case::second_value_only("{k: b}", &[("k", "a"), ("k", "b")], false)]
    #[case::both("{k: [a, b]}", &[("k", "a"), ("l", "x"), ("k", "b")], true)]
    #[case::in_another_order("{k: [a, b]}", &[("k", "b"), ("k", "a")], false)]
    #[case::one_missing("{k: [a, b]}", &[("k", "a")], false)]
    #[case::joined_is_one_value("{k: [a, b]}", &[("k", "a,b")], false)]
    #[case::absent("{k: null}", &[("l", "a")], true)]
    #[case::not_absent("{k: null}", &[("k", "")], false)]
    #[case::missing("{k: a}", &[], false)]
    #[case::bytes("{k-bin: AP8=}", &[("k-bin", "AP8")], true)]
    #[case::other_bytes("{k-bin: AP8=}", &[("k-bin", "AP4=")], false)]
    #[case::no_bytes("{k-bin: AP8=}", &[("k-bin", "AP8*")], false)]
    #[case::empty_bytes("{k-bin: ''}", &[("k-bin", "")], true)]
    #[case::no_field_is_not_empty_bytes("{k-bin: ''}", &[], false)]
    #[case::several_bytes("{k-bin: [AP8=, AA==]}", &[("k-bin", "AP8"), ("k-bin", "AA")], true)]
    #[case::joined_bytes("{k-bin: [AP8=, AA==]}", &[("k-bin", "AP8=, AA==")], true)]
    #[case::bytes_twice("{k-bin: AA==}", &[("k-bin", "AA"), ("k-bin", "AA")], false)]
    fn exactly_the_wanted_values(
        #[case] required: &str,
        #[case] found: &[(&str, &str)],
        #[case] expected: bool,
    ) {
        assert_eq!(holds(required, found), expected);
    }

    #[test]
    fn what_is_seen_shows_every_value() {
        let expected: BTreeMap<String, Option<Values>> =
            serde_yaml::from_str("{a: x, b: x, c: x}").unwrap();
        let found = fields(&[("a", "1"), ("b", "2"), ("a", "3")]);
        let message = seen(&expected, |key| all(&found, key));
        assert_eq!(message, "a: [1, 3], b: 2, no c");
        assert_eq!(joined(&found, "a").as_deref(), Some("1, 3"));
        assert_eq!((only(&found, "a"), only(&found, "b")), (None, Some("2")));
    }
}
