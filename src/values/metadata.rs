//! The values of a metadata key: one, or several when the key is repeated.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, SeqAccess, Unexpected, Visitor},
};

/// Expected metadata by key; `None`: the key must be absent.
pub type Fields = BTreeMap<String, Option<Values>>;

/// A string, or a list of strings for a key that is repeated, in this order. Values of keys that
/// end in `-bin` are bytes in base64, with or without padding (gRPC over HTTP/2,
/// "Custom-Metadata").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values(Vec<String>);

impl Values {
    /// All values, at least one.
    pub fn all(&self) -> &[String] {
        &self.0
    }

    /// The values with `change` applied to each.
    #[must_use]
    pub fn map(&self, change: impl Fn(&str) -> String) -> Self {
        Self(self.0.iter().map(|value| change(value)).collect())
    }
}

impl From<&str> for Values {
    fn from(value: &str) -> Self {
        Self(vec![value.to_owned()])
    }
}

impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => f.write_str(one),
            several => write!(f, "[{}]", several.join(", ")),
        }
    }
}

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMore)
    }
}

struct OneOrMore;

impl<'de> Visitor<'de> for OneOrMore {
    type Value = Values;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, or a list of strings for a key that is repeated")
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Values, E> {
        Ok(Values::from(value))
    }

    // Whole numbers and booleans keep their text; other numbers lose it (1.10).
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Values, E> {
        Ok(Values(vec![value.to_string()]))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Values, E> {
        Ok(Values(vec![value.to_string()]))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Values, E> {
        Ok(Values(vec![value.to_string()]))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Values, E> {
        let message = format!(
            "{value} is read as a number, which may lose its exact spelling: put it in quotes"
        );
        Err(E::custom(message))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Values, A::Error> {
        let mut values = Vec::new();
        while let Some(Values(mut one)) = all.next_element::<Values>()? {
            if one.len() != 1 {
                return Err(de::Error::invalid_type(Unexpected::Seq, &"a string"));
            }
            values.append(&mut one);
        }
        if values.is_empty() {
            return Err(de::Error::invalid_length(0, &"at least one value"));
        }
        Ok(Values(values))
    }
}

impl JsonSchema for Values {
    fn schema_name() -> Cow<'static, str> {
        "Values".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A string, or a list of strings for a key that is repeated, in this order. Values of keys that end in `-bin` are bytes in base64.",
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
            ],
        })
    }
}

/// What is wrong with the values of a binary key; `None` for other keys.
pub fn binary_fault(key: &str, values: &Values) -> Option<String> {
    let text = |value: &&String| !value.contains("${") && testbed::binary::decode(value).is_none();
    if !testbed::binary::is_binary(key) {
        return None;
    }
    let wrong = values.all().iter().find(text)?;
    Some(format!("{key}: '{wrong}' is not valid base64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("one", &["one"])]
    #[case("[one, two, one]", &["one", "two", "one"])]
    #[case("[one]", &["one"])]
    #[case("1", &["1"])]
    #[case("-1", &["-1"])]
    #[case("007", &["007"])]
    #[case("true", &["true"])]
    #[case("[1, '1.10']", &["1", "1.10"])]
    fn a_key_has_one_value_or_a_list(#[case] yaml: &str, #[case] all: &[&str]) {
        let values: Values = serde_yaml::from_str(yaml).unwrap();
        assert_eq!(values.all(), all);
        let again = serde_json::to_value(&values).unwrap();
        assert_eq!(serde_json::from_value::<Values>(again).unwrap(), values);
    }

    #[rstest::rstest]
    #[case("[]", "at least one value")]
    #[case("{a: b}", "a string, or a list of strings")]
    #[case("1.10", "put it in quotes")]
    #[case("[[a, b]]", "expected a string")]
    fn what_is_neither_is_refused_in_words(#[case] yaml: &str, #[case] message: &str) {
        let error = serde_yaml::from_str::<Values>(yaml).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }

    #[rstest::rstest]
    #[case("x-bin", "AP8=", true)]
    #[case::without_padding("x-bin", "AP8", true)]
    #[case::empty("x-bin", "", true)]
    #[case::a_placeholder("x-bin", "${host}", true)]
    #[case("x-bin", "no base64!", false)]
    #[case::text("x-binary", "no base64!", true)]
    fn bytes_are_written_in_base64(#[case] key: &str, #[case] value: &str, #[case] fine: bool) {
        let fault = binary_fault(key, &Values::from(value));
        assert_eq!(fault.is_none(), fine, "{fault:?}");
    }
}
