//! Which scenarios and mutations claim a field: by a `config` matcher, by a mutation that is
//! caught, or by the list of fields that are covered by behaviour.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::fields::flatten;
use crate::{
    errors::{Classified, ErrorClass},
    mutation::Mutation,
    observe::data_plane::hop::Part,
    scenario::{loaded::LoadedScenario, model::Expect},
    yaml::YamlError,
};

/// Fields that are covered by behaviour, and fields that are not claimed, with the reason.
pub const CLAIMS: &str = include_str!("../../docs/coverage.yaml");

/// An error reading the list of fields.
#[derive(Debug, thiserror::Error)]
pub enum ClaimsError {
    #[error("cannot read docs/coverage.yaml")]
    Yaml(#[from] YamlError),
    #[error("docs/coverage.yaml: unknown scenario {id}")]
    NoScenario { id: String },
}

impl Classified for ClaimsError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Input
    }
}

/// One entry of the list.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Listed {
    /// Kinds of parts (`route`).
    parts: Vec<String>,
    /// JSON pointers; each includes everything below it.
    fields: Vec<String>,
    #[serde(default)]
    claimed_by: Vec<String>,
    #[serde(default)]
    not_claimed: Option<String>,
}

/// All claims about fields.
#[derive(Debug, Default)]
pub struct Claims {
    /// Scenarios whose `config` names the field.
    effective: BTreeMap<(String, String), BTreeSet<String>>,
    /// Mutations that change it and are caught.
    mutations: BTreeMap<(String, String), BTreeSet<String>>,
    listed: Vec<Listed>,
}

impl Claims {
    /// Gathers the claims of scenarios, mutations and the list.
    ///
    /// # Errors
    /// [`ClaimsError`]: the list cannot be read, or names an unknown scenario.
    pub fn gather(
        scenarios: &[LoadedScenario],
        mutations: &[Mutation],
        list: &str,
    ) -> Result<Self, ClaimsError> {
        let (listed, _): (Vec<Listed>, _) = crate::yaml::parse(list)?;
        for id in listed.iter().flat_map(|entry| &entry.claimed_by) {
            if !scenarios.iter().any(|loaded| loaded.id == *id) {
                return Err(ClaimsError::NoScenario { id: id.clone() });
            }
        }
        let mut claims = Self {
            listed,
            ..Self::default()
        };
        for loaded in scenarios {
            for probe in loaded.scenario.probes.values() {
                let rows = probe.cases.iter().filter_map(|row| row.expect.as_ref());
                for expect in rows.chain([&probe.expect]) {
                    claims.effective_of(&loaded.id, expect);
                }
            }
        }
        for mutation in mutations {
            claims.changed_by(mutation);
        }
        Ok(claims)
    }

    fn effective_of(&mut self, id: &str, expect: &Expect) {
        for (part, fields) in expect.config.iter().flat_map(|config| config.parts()) {
            for pointer in fields.keys() {
                let key = (part.as_str().to_owned(), pointer.clone());
                self.effective.entry(key).or_default().insert(id.to_owned());
            }
        }
    }

    fn changed_by(&mut self, mutation: &Mutation) {
        for patch in &mutation.patches {
            let Some((part, value)) = part_of(&patch.apply_to, &patch.patch["value"]) else {
                continue;
            };
            let mut paths = BTreeSet::new();
            flatten(part, value, "", &mut paths);
            let plumbing = |path: &String| path.ends_with("/@type") || path.ends_with("/name");
            for path in paths.into_iter().filter(|path| !plumbing(path)) {
                let key = (part.as_str().to_owned(), path);
                let by = self.mutations.entry(key).or_default();
                by.insert(mutation.name.clone());
            }
        }
    }

    /// The scenarios that claim a field, and the caught mutations that change it.
    pub fn of(&self, part: Part, path: &str) -> (BTreeSet<&str>, BTreeSet<&str>) {
        let mut scenarios = holders(&self.effective, part, path);
        let by_behaviour = self.listed_of(part, path);
        scenarios
            .extend(by_behaviour.flat_map(|entry| entry.claimed_by.iter().map(String::as_str)));
        (scenarios, holders(&self.mutations, part, path))
    }

    /// The reason why a field is not claimed, if the list has one.
    pub fn reason(&self, part: Part, path: &str) -> Option<&str> {
        self.listed_of(part, path)
            .find_map(|entry| entry.not_claimed.as_deref())
    }

    fn listed_of(&self, part: Part, path: &str) -> impl Iterator<Item = &Listed> {
        let ours = move |entry: &&Listed| {
            entry.parts.iter().any(|word| word == part.as_str())
                && entry.fields.iter().any(|field| is_below(path, field))
        };
        self.listed.iter().filter(ours)
    }
}

fn holders<'a>(
    all: &'a BTreeMap<(String, String), BTreeSet<String>>,
    part: Part,
    path: &str,
) -> BTreeSet<&'a str> {
    let ours = all.iter().filter(|((word, field), _)| {
        word == part.as_str() && (is_below(path, field) || is_below(field, path))
    });
    ours.flat_map(|(_, by)| by.iter().map(String::as_str))
        .collect()
}

/// Whether the field is `above` or below it. `*` in `above` matches anything; a number matches an
/// element of a list without names.
fn is_below(path: &str, above: &str) -> bool {
    let mut path = path.split('/');
    above.split('/').all(|expected| {
        let have = path.next();
        let any = expected == "*" || (have == Some("*") && expected.parse::<usize>().is_ok());
        have.is_some() && (any || have == Some(expected))
    })
}

fn part_of<'a>(apply_to: &str, value: &'a Value) -> Option<(Part, &'a Value)> {
    if value.is_null() {
        return None; // removals have no fields
    }
    Some(match apply_to {
        "CLUSTER" => (Part::Cluster, value),
        "HTTP_ROUTE" => (Part::Route, value),
        "VIRTUAL_HOST" => (Part::VirtualHost, value),
        "ROUTE_CONFIGURATION" => (Part::RouteConfiguration, value),
        "LISTENER" => (Part::Listener, value),
        "FILTER_CHAIN" => (Part::FilterChain, value),
        "NETWORK_FILTER" => (Part::ConnectionManager, &value["typed_config"]),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("/route/timeout", "/route", true)]
    #[case("/route/timeout", "/route/timeout", true)]
    #[case("/route", "/route/timeout", false)]
    #[case("/routes", "/route", false)]
    #[case("/thresholds/*/max", "/thresholds/0/max", true)]
    #[case("/upgrade_configs/*/upgrade_type", "/*/name", false)]
    #[case("/transport_socket/name", "/*/name", true)]
    fn a_field_is_below_another(#[case] path: &str, #[case] above: &str, #[case] below: bool) {
        assert_eq!(is_below(path, above), below);
    }
}
