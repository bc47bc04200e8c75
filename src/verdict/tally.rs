//! Distributions as text: `57×OK, 3×UNAVAILABLE`.

use std::collections::BTreeMap;

/// The number of kinds that are shown before the rest is summed up.
const SHOWN: usize = 5;

/// Counts equal texts and shows them, most frequent first.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    kinds: BTreeMap<String, u64>,
}

impl Tally {
    pub fn add(&mut self, kind: impl Into<String>) {
        *self.kinds.entry(kind.into()).or_default() += 1;
    }

    /// The number of texts added.
    pub fn total(&self) -> u64 {
        self.kinds.values().sum()
    }
}

impl<T: Into<String>> FromIterator<T> for Tally {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        let mut tally = Self::default();
        for text in texts {
            tally.add(text);
        }
        tally
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut kinds: Vec<_> = self.kinds.iter().collect();
        kinds.sort_by_key(|(text, count)| (std::cmp::Reverse(**count), (*text).clone()));
        for (at, (text, count)) in kinds.iter().take(SHOWN).enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{count}×{text}")?;
        }
        if kinds.len() > SHOWN {
            let rest: u64 = kinds[SHOWN..].iter().map(|(_, count)| **count).sum();
            write!(f, ", {rest} of {} other kinds", kinds.len() - SHOWN)?;
        }
        Ok(())
    }
}

/// A message on one line, cut to `limit` characters.
pub fn short(text: &str, limit: usize) -> String {
    let line = text.replace(['\n', '\r'], " ");
    if line.chars().count() <= limit {
        return line;
    }
    let cut: String = line.chars().take(limit).collect();
    format!("{cut}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_kind_comes_first_and_rare_ones_are_summed() {
        let tally: Tally = "a b b c d e f g".split(' ').collect();
        assert_eq!(
            tally.to_string(),
            "2×b, 1×a, 1×c, 1×d, 1×e, 2 of 2 other kinds"
        );
        assert_eq!(tally.total(), 8);
    }

    #[test]
    fn long_messages_are_cut_at_a_character_not_a_byte() {
        assert_eq!(short("ääää", 2), "ää…");
        assert_eq!(short("a\nb", 9), "a b");
    }
}
