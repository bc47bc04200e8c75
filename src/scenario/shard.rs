//! A shard of a selection.

use std::str::FromStr;

/// `2/5`: the second of five parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 1.
    pub index: u32,
    pub count: u32,
}

/// An invalid shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write N/M with 1 ≤ N ≤ M, e.g. 2/5")]
pub struct NoShard;

impl FromStr for Shard {
    type Err = NoShard;

    fn from_str(text: &str) -> Result<Self, NoShard> {
        let (index, count) = text.split_once('/').ok_or(NoShard)?;
        match (index.parse(), count.parse()) {
            (Ok(index), Ok(count)) if 1 <= index && index <= count => Ok(Self { index, count }),
            _ => Err(NoShard),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("1/1", Some((1, 1)))]
    #[case("2/5", Some((2, 5)))]
    #[case("0/5", None)]
    #[case("6/5", None)]
    #[case("2", None)]
    #[case("a/b", None)]
    fn shard_is_one_of_m(#[case] text: &str, #[case] expected: Option<(u32, u32)>) {
        let shard = text.parse::<Shard>().ok().map(|s| (s.index, s.count));
        assert_eq!(shard, expected);
    }
}
