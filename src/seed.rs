//! The seed of a run, from which all randomness in the harness is derived.

use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Programs that store numbers in double precision (jq, JavaScript) round integers above this (RFC
/// 8259, section 6).
const EXACT_IN_JSON: u64 = (1 << 53) - 1;

/// A seed. Generated seeds have 32 bits, so that every reader of a report preserves them; any 64
/// bits are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seed(u64);

impl Seed {
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns a seed of 32 bits from the operating system's random numbers.
    pub fn random() -> Self {
        Self(RandomState::new().hash_one(std::process::id()) >> 32)
    }

    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Seed {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.parse();
        number.map(Self).map_err(
            |_| "a seed is a whole number from 0 to 18446744073709551615, as printed in reports",
        )
    }
}

/// Serializes as a number, or as text where JSON readers would round it.
impl Serialize for Seed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            0..=EXACT_IN_JSON => serializer.serialize_u64(self.0),
            _ => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(number) => Ok(Self(number)),
            Written::Text(text) => text.parse().map_err(de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, "0")]
    #[case(EXACT_IN_JSON, "9007199254740991")]
    #[case(EXACT_IN_JSON + 1, "\"9007199254740992\"")]
    #[case(u64::MAX, "\"18446744073709551615\"")]
    fn no_reader_of_json_takes_it_for_another(#[case] number: u64, #[case] json: &str) {
        assert_eq!(serde_json::to_string(&Seed(number)).expect("written"), json);
        assert_eq!(
            serde_json::from_str::<Seed>(json).expect("read"),
            Seed(number)
        );
    }

    #[test]
    fn our_own_have_32_bits() {
        assert!((0..100).all(|_| Seed::random().number() <= u64::from(u32::MAX)));
    }

    #[rstest]
    #[case("7", Some(7))]
    #[case("17749955024650477167", Some(17_749_955_024_650_477_167))]
    #[case("abc", None)]
    #[case("-1", None)]
    fn what_a_report_printed_is_accepted(#[case] text: &str, #[case] number: Option<u64>) {
        assert_eq!(text.parse().ok(), number.map(Seed));
    }

    /// Logs of earlier versions contain every seed as a number.
    #[test]
    fn a_number_of_64_bits_is_read_from_a_log() {
        let seed: Seed = serde_json::from_str("17749955024650477167").expect("read");
        assert_eq!(seed.to_string(), "17749955024650477167");
    }
}
