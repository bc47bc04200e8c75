//! The name of a run.

use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    ops::Deref,
};

use serde::{Deserialize, Serialize};

/// The id of a run, used in the names and labels of its namespaces and in its reports. Created
/// once for a run ([`RunId::random`]).
///
/// The default is the empty id of an event log whose beginning is missing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub(super) String);

impl RunId {
    /// Returns five random letters and digits, seeded by the operating system: 24 million ids, so
    /// that no two runs on a target collide.
    pub fn random() -> Self {
        /// No vowels, so that no words are formed. All are valid in a label and in a DNS name.
        const ALPHABET: &[u8; 30] = b"bcdfghjklmnpqrstvwxz0123456789";
        let mut number = RandomState::new().hash_one(std::process::id());
        let mut id = String::new();
        for _ in 0..5 {
            let at = usize::try_from(number % ALPHABET.len() as u64).unwrap_or(0);
            id.push(char::from(ALPHABET[at]));
            number /= ALPHABET.len() as u64;
        }
        Self(id)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for RunId {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_labels_and_differ() {
        let ids: BTreeSet<String> = (0..100).map(|_| RunId::random().to_string()).collect();
        assert!(ids.len() > 95, "{ids:?}");
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        assert!(ids.iter().all(|id| id.len() == 5 && id.chars().all(plain)));
    }
}
