//! A set of texts by their first bytes, to find out in one pass over a text which of them it may
//! contain.

/// Number of first bytes of a text that count.
const BYTES: usize = 4;
/// Bits of the set. Two beginnings may share one: the set then says "may" for both.
const BITS: usize = 1 << 16;

/// The beginnings of texts of at least four bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Starts {
    /// No bits at all: the set is empty.
    bits: Vec<u64>,
}

/// The beginnings of a [`Starts`] that occur in a text.
#[derive(Debug)]
pub(super) struct Found(Starts);

impl Starts {
    /// Adds a text. A shorter one than four bytes cannot be added.
    pub fn insert(&mut self, text: &[u8]) {
        if let Some(bit) = text.first_chunk().map(bit) {
            self.bits.resize(BITS / 64, 0);
            self.bits[bit / 64] |= 1 << (bit % 64);
        }
    }

    fn has(&self, bit: usize) -> bool {
        let word = self.bits.get(bit / 64);
        word.is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }

    /// The beginnings that occur anywhere in `text`.
    pub fn found_in(&self, text: &[u8]) -> Found {
        let mut found = Self::default();
        if !self.bits.is_empty() {
            for window in text.windows(BYTES) {
                if window
                    .first_chunk()
                    .is_some_and(|first| self.has(bit(first)))
                {
                    found.insert(window);
                }
            }
        }
        Found(found)
    }
}

impl Found {
    /// Whether the text may contain `needle`: its beginning occurs, or replacing other needles by
    /// asterisks can complete it.
    pub fn may_begin(&self, needle: &str) -> bool {
        let first = needle.as_bytes().first_chunk();
        first.is_none_or(|first| self.0.has(bit(first))) || needle.contains('*')
    }
}

/// Multiplicative hashing (Knuth, The Art of Computer Programming, volume 3, section 6.4).
fn bit(first: &[u8; BYTES]) -> usize {
    let hash = u32::from_le_bytes(*first).wrapping_mul(2_654_435_769);
    (hash >> 16) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_only_beginnings_that_occur_in_it() {
        let mut starts = Starts::default();
        assert!(
            !starts.found_in(b"token").may_begin("token"),
            "an empty set"
        );
        ["token", "tokyo", "pässword", "a**"]
            .iter()
            .for_each(|text| starts.insert(text.as_bytes()));
        let found = starts.found_in("a toke, a pässw".as_bytes());
        assert!(found.may_begin("token") && found.may_begin("pässword"));
        assert!(!found.may_begin("tokyo"));
        assert!(found.may_begin("a**"), "too short to tell");
        assert!(!starts.found_in(b"tok").may_begin("token"));
        assert!(
            starts.found_in(b"").may_begin("xy*zz"),
            "a mask may complete it"
        );
    }
}
