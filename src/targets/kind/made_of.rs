//! The flags that a kind cluster was created with and its Istio installed with. On an existing
//! cluster, a flag must have the same value as then.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::KindError;

/// Values by flag (without dashes).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MadeOf(BTreeMap<String, String>);

/// Flags that a cluster is created with.
pub const CLUSTER: [&str; 3] = ["nodes", "node-image", "registry-mirror"];
/// Flags that Istio is installed with.
pub const ISTIO: [&str; 4] = ["istio", "hub", "tag", "profile"];

impl<const N: usize> From<[(&str, Option<String>); N]> for MadeOf {
    /// The values of the flags that were given.
    fn from(flags: [(&str, Option<String>); N]) -> Self {
        let given = flags.into_iter();
        Self(
            given
                .filter_map(|(flag, value)| Some((flag.to_owned(), value?)))
                .collect(),
        )
    }
}

impl MadeOf {
    /// The subset for these flags.
    #[must_use]
    pub fn only(&self, flags: &[&str]) -> Self {
        let all = self
            .0
            .iter()
            .filter(|(flag, _)| flags.contains(&flag.as_str()));
        Self(
            all.map(|(flag, value)| (flag.clone(), value.clone()))
                .collect(),
        )
    }

    /// Records the effective value of a flag, even if the flag was not given.
    pub fn note(&mut self, flag: &str, value: &str) {
        self.0.insert(flag.to_owned(), value.to_owned());
    }

    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Checks that every requested flag matches the cluster of this name.
    ///
    /// # Errors
    /// [`KindError::MadeOf`] for the first that differs.
    pub fn agrees(&self, asked: &Self, name: &str) -> Result<(), KindError> {
        let differs = |(flag, value): &(&String, &String)| self.0.get(*flag) != Some(*value);
        match asked.0.iter().find(differs) {
            None => Ok(()),
            Some((flag, value)) => Err(KindError::MadeOf {
                name: name.to_owned(),
                asked: format!("--{flag} {value}"),
                made: match self.0.get(flag) {
                    Some(other) => format!("was created with --{flag} {other}"),
                    None => format!("was created without --{flag}"),
                },
            }),
        }
    }
}
