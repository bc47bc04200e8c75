//! What a kind cluster and its Istio were asked to be made of, flag by flag: on a cluster that is
//! there already, a flag can only say what that is made of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::KindError;

/// Values by flag, without its dashes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MadeOf(BTreeMap<String, String>);

/// Flags that a cluster is created with.
pub const CLUSTER: [&str; 3] = ["nodes", "node-image", "registry-mirror"];
/// Flags that Istio is installed with.
pub const ISTIO: [&str; 4] = ["istio", "hub", "tag", "profile"];

impl<const N: usize> From<[(&str, Option<String>); N]> for MadeOf {
    /// Of each flag its value, where it was given.
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
    /// What of it concerns these flags.
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

    /// Adds what became of a flag, also where none was given.
    pub fn note(&mut self, flag: &str, value: &str) {
        self.0.insert(flag.to_owned(), value.to_owned());
    }

    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Every flag that is asked for says what the cluster of this name is made of.
    ///
    /// # Errors
    /// [`KindError::MadeOf`] of the first that does not.
    pub fn agrees(&self, asked: &Self, name: &str) -> Result<(), KindError> {
        let differs = |(flag, value): &(&String, &String)| self.0.get(*flag) != Some(*value);
        match asked.0.iter().find(differs) {
            None => Ok(()),
            Some((flag, value)) => Err(KindError::MadeOf {
                name: name.to_owned(),
                asked: format!("--{flag} {value}"),
                made: match self.0.get(flag) {
                    Some(other) => format!("is made with --{flag} {other}"),
                    None => format!("is not made with --{flag}"),
                },
            }),
        }
    }
}
