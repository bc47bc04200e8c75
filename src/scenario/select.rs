//! Selection and order of scenarios.

use std::collections::BTreeSet;

use thiserror::Error;

use super::{
    dialect::Dialect, finding::did_you_mean, loaded::LoadedScenario, model::Level, requirements,
};

/// An invalid selection.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SelectError {
    #[error(
        "invalid selector '{0}': write key=value pairs separated by commas, e.g. area=routing,level=core"
    )]
    Selector(String),
    #[error("invalid shard {index}/{of}: write i/n with 1 <= i <= n, e.g. 2/5")]
    Shard { index: u32, of: u32 },
    #[error("no scenario has a label '{key}': {help}")]
    Key { key: String, help: String },
    #[error("no scenario has {key}={value}: {help}")]
    Value {
        key: String,
        value: String,
        help: String,
    },
    #[error(
        "unknown requirement '{row}': {help}; `meshproof list --by requirement` shows them all"
    )]
    Requirement { row: String, help: String },
}

/// Conditions that a scenario must all satisfy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    labels: Vec<(String, String)>,
    /// The scenario must prove one of these requirements; empty: any.
    proves: Vec<String>,
    /// (index from 1, number of shards)
    shard: Option<(u32, u32)>,
}

impl Filter {
    /// Parses `-l`, `--proves` and `--shard`.
    ///
    /// # Errors
    /// A selector without `=`, a shard out of range, an unknown requirement.
    pub fn new(
        selector: Option<&str>,
        proves: &[String],
        shard: Option<(u32, u32)>,
    ) -> Result<Self, SelectError> {
        if let Some((index, of)) = shard
            && !(1..=of).contains(&index)
        {
            return Err(SelectError::Shard { index, of });
        }
        let proves: Vec<String> = proves.iter().map(|row| row.trim().to_uppercase()).collect();
        if let Some(row) = proves.iter().find(|row| !requirements::is_known(row)) {
            return Err(SelectError::Requirement {
                row: row.clone(),
                help: requirements_near(row),
            });
        }
        Ok(Self {
            labels: parse_selector(selector.unwrap_or_default())?,
            proves,
            shard,
        })
    }

    /// Whether it says which groups are wanted.
    pub fn names_group(&self) -> bool {
        self.labels.iter().any(|(key, _)| key == "group")
    }

    pub fn matches(&self, loaded: &LoadedScenario) -> bool {
        let labels = self
            .labels
            .iter()
            .all(|(key, value)| label(loaded, key) == *value);
        let rows = &loaded.scenario.proves;
        let proves = self.proves.is_empty() || self.proves.iter().any(|row| rows.contains(row));
        let shard = self
            .shard
            .is_none_or(|(index, of)| shard_of(&loaded.id, of) == index);
        labels && proves && shard
    }
}

/// Keys that every scenario has.
const KEYS: [&str; 4] = ["area", "level", "dialect", "slow"];

impl Filter {
    /// Checks that some scenario has each key and value of the selector.
    ///
    /// # Errors
    /// The first that none has, with a suggestion.
    pub fn meaning(&self, all: &[LoadedScenario]) -> Result<(), SelectError> {
        let labels = all.iter().flat_map(|one| one.scenario.labels.keys());
        let keys: BTreeSet<&str> = labels.map(String::as_str).chain(KEYS).collect();
        let keys: Vec<&str> = keys.into_iter().collect();
        for (key, value) in &self.labels {
            if !keys.contains(&key.as_str()) {
                let (key, help) = (key.clone(), did_you_mean(key, &keys));
                return Err(SelectError::Key { key, help });
            }
            let mut values: BTreeSet<String> = all.iter().map(|one| label(one, key)).collect();
            match key.as_str() {
                "level" => {
                    let levels = [Level::Core, Level::Extended, Level::Provisional];
                    values.extend(levels.map(|level| level_word(level).to_owned()));
                }
                "dialect" => {
                    let dialects = [Dialect::Istio, Dialect::GatewayApi];
                    values.extend(dialects.map(|dialect| dialect.name().to_owned()));
                }
                "slow" => values.extend(["true", "false"].map(str::to_owned)),
                _ => {}
            }
            if !values.contains(value) {
                let values: Vec<&str> = values.iter().map(String::as_str).collect();
                return Err(SelectError::Value {
                    key: key.clone(),
                    value: value.clone(),
                    help: did_you_mean(value, &values),
                });
            }
        }
        Ok(())
    }
}

/// Requirements with the same letter, or the existing letters if there are none.
fn requirements_near(row: &str) -> String {
    let known = requirements::REQUIREMENTS.iter().map(|(id, _)| *id);
    let same: Vec<&str> = known
        .clone()
        .filter(|id| id.chars().next() == row.chars().next())
        .collect();
    if !same.is_empty() {
        return format!("use one of {}", same.join(", "));
    }
    let mut letters: Vec<&str> = known.map(|id| &id[..1]).collect();
    letters.dedup();
    format!("ids begin with {}", letters.join(", "))
}

/// Parses `key=value,key=value`; an empty text selects everything.
///
/// # Errors
/// A part without a key or without `=`.
pub fn parse_selector(text: &str) -> Result<Vec<(String, String)>, SelectError> {
    let parts = text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    parts
        .map(|part| match part.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                Ok((key.trim().to_owned(), value.trim().to_owned()))
            }
            _ => Err(SelectError::Selector(part.to_owned())),
        })
        .collect()
}

/// Value of the label `group` of scenarios that wait for timers of the mesh.
pub const SLOW: &str = "slow";
/// Value of the label `group` of measurements, which run only when they are asked for.
pub const BENCH: &str = "bench";

/// Whether a scenario waits for timers of the mesh.
pub fn is_slow(loaded: &LoadedScenario) -> bool {
    label(loaded, "group") == SLOW
}

/// Whether a scenario is a measurement.
pub fn is_bench(loaded: &LoadedScenario) -> bool {
    label(loaded, "group") == BENCH
}

/// Every scenario has `area`, `level` and `dialect`; `slow` is `false` unless labelled; others are
/// empty unless labelled.
pub fn label(loaded: &LoadedScenario, key: &str) -> String {
    let labels = &loaded.scenario.labels;
    match key {
        "area" => loaded.area.clone(),
        "level" => level_word(loaded.scenario.level).to_owned(),
        "dialect" => loaded.dialect.name().to_owned(),
        "slow" => labels
            .get(key)
            .cloned()
            .unwrap_or_else(|| "false".to_owned()),
        other => labels.get(other).cloned().unwrap_or_default(),
    }
}

/// The level as suite files spell it.
pub fn level_word(level: Level) -> &'static str {
    match level {
        Level::Core => "core",
        Level::Extended => "extended",
        Level::Provisional => "provisional",
    }
}

/// Shard of an id, from 1. It depends on the id alone: adding scenarios does not move others.
pub fn shard_of(id: &str, of: u32) -> u32 {
    (hash(id) % u64::from(of.max(1))) as u32 + 1
}

/// FNV-1a, 64 bits: stable across releases and machines.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Fisher-Yates shuffle with splitmix64: the same seed gives the same order everywhere.
pub fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed;
    for last in (1..items.len()).rev() {
        let other = (splitmix(&mut state) % (last as u64 + 1)) as usize;
        items.swap(last, other);
    }
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("", Some(0))]
    #[case("area=routing", Some(1))]
    #[case("area=routing, level=core", Some(2))]
    #[case("routing", None)]
    #[case("=x", None)]
    fn selectors(#[case] text: &str, #[case] parts: Option<usize>) {
        assert_eq!(parse_selector(text).ok().map(|all| all.len()), parts);
    }

    #[rstest]
    #[case("B1", None)]
    #[case("b1", None)]
    #[case("B99", Some("unknown requirement 'B99': use one of B1, B2,"))]
    #[case("X9", Some("unknown requirement 'X9': ids begin with B, R, T,"))]
    fn only_requirements_are_asked_for(#[case] row: &str, #[case] message: Option<&str>) {
        let refused = Filter::new(None, &[row.to_owned()], None).err();
        let refused = refused.map(|error| error.to_string());
        match (&refused, message) {
            (None, None) => {}
            (Some(text), Some(message)) => assert!(text.starts_with(message), "{text}"),
            _ => panic!("{refused:?}"),
        }
    }

    #[test]
    fn shards_split_everything_once() {
        let ids: Vec<String> = (0..200).map(|n| format!("area/scenario-{n}")).collect();
        let sizes: Vec<usize> = (1..=5)
            .map(|index| ids.iter().filter(|id| shard_of(id, 5) == index).count())
            .collect();
        assert_eq!(sizes.iter().sum::<usize>(), 200);
        assert!(
            sizes.iter().all(|size| (20..60).contains(size)),
            "{sizes:?}"
        );
        assert!(Filter::new(None, &[], Some((6, 5))).is_err());
    }

    #[test]
    fn a_seed_gives_one_order() {
        let order = |seed| {
            let mut items: Vec<u32> = (0..20).collect();
            shuffle(&mut items, seed);
            items
        };
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
        let mut sorted = order(3);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..20).collect::<Vec<u32>>());
    }
}
