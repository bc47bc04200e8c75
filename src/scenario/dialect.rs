//! One scenario, two dialects: the same probes, steps and contrasts with Istio's own objects and
//! with those of Gateway API.
//!
//! `<behaviour>.gateway-api.yaml` beside `<behaviour>.istio.yaml` turns `<behaviour>.yaml` into a
//! second scenario, the variant. Its id ends in `@gateway-api`; there, `apply: istio` applies
//! `<behaviour>.gateway-api.yaml`, and `apply: NAME` `<behaviour>.NAME.gateway-api.yaml`.

use serde::Serialize;

use super::{
    file::LoadError,
    loaded::LoadedScenario,
    model::{Scenario, Step},
};

/// The API that a scenario's configuration is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// Istio's `VirtualService`, `DestinationRule`, `Gateway`; also scenarios with one dialect.
    #[default]
    Istio,
    /// `GRPCRoute`, `HTTPRoute` and `Gateway` of Kubernetes' Gateway API.
    GatewayApi,
}

/// Capability that a variant needs, and the requirement that it proves in addition: "`GRPCRoute`
/// behaves as the `VirtualService` does".
const NEEDED: &str = "gateway-api";
const PROVED: &str = "R7";
/// Separates the dialect from the id of a variant.
const MARK: char = '@';

impl Dialect {
    /// The name in file names and ids.
    pub fn name(self) -> &'static str {
        match self {
            Self::Istio => "istio",
            Self::GatewayApi => NEEDED,
        }
    }

    /// The dialect that a scenario is written in, by the name of a file that it applies.
    pub fn of(scenario: &Scenario) -> Self {
        if applies(scenario, NEEDED) {
            Self::GatewayApi
        } else {
            Self::Istio
        }
    }
}

/// The file of `apply: <name>` for the scenario at `stem` (a path without its extension).
pub fn file(stem: &str, name: &str, variant: bool) -> String {
    match (variant, name) {
        (true, "istio") => format!("{stem}.{NEEDED}.yaml"),
        (true, name) => format!("{stem}.{name}.{NEEDED}.yaml"),
        (false, name) => format!("{stem}.{name}.yaml"),
    }
}

/// Splits an id, or a pattern over ids, at its dialect.
pub fn split(id: &str) -> (&str, Option<&str>) {
    match id.split_once(MARK) {
        Some((stem, dialect)) => (stem, Some(dialect)),
        None => (id, None),
    }
}

fn applies(scenario: &Scenario, file: &str) -> bool {
    let expected = |step: &Step| matches!(step, Step::Apply(apply) if apply.0 == file);
    scenario.steps.iter().any(expected)
}

/// The variant of the scenario with Gateway API objects, if it has a file for that.
///
/// # Errors
/// A file that exists but cannot be read.
pub fn variant(loaded: &LoadedScenario) -> Result<Option<LoadedScenario>, LoadError> {
    if !applies(&loaded.scenario, "istio") || applies(&loaded.scenario, NEEDED) {
        return Ok(None);
    }
    let mut variant = loaded.clone();
    variant.dialect = Dialect::GatewayApi;
    variant.variant = true;
    variant.id = format!("{}{MARK}{}", loaded.id, variant.dialect.name());
    if variant.config("istio")?.is_none() {
        return Ok(None);
    }
    variant.scenario.title = format!("{} (Gateway API)", loaded.scenario.title.trim_end());
    add(&mut variant.scenario.needs, NEEDED);
    add(&mut variant.scenario.proves, PROVED);
    Ok(Some(variant))
}

fn add(parts: &mut Vec<String>, word: &str) {
    if !parts.iter().any(|known| known == word) {
        parts.push(word.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{load::Tree, parse::parse};

    const TEXT: &str = "\
title: Calls take the new route
why: w
source: [s]
workloads:
- {name: caller, template: caller}
probes: {}
steps:
- apply: istio
- apply: half
";

    fn scenario(files: &[&str], text: &str) -> Option<LoadedScenario> {
        let dir = tempfile::tempdir().expect("a directory");
        for file in files {
            std::fs::write(dir.path().join(file), "kind: X").expect("written");
        }
        let tree = Tree::Disk(dir.path().to_owned());
        let loaded = parse(&tree, "a.yaml", text.to_owned()).expect("it parses");
        let variant = variant(&loaded).expect("readable")?;
        assert!(variant.config("half").expect("readable").is_some());
        Some(variant)
    }

    #[test]
    fn a_file_of_the_other_dialect_makes_a_twin() {
        let files = [
            "a.istio.yaml",
            "a.gateway-api.yaml",
            "a.half.gateway-api.yaml",
        ];
        let variant = scenario(&files, TEXT).expect("a variant");
        assert!(variant.id.ends_with("/a@gateway-api"), "{}", variant.id);
        assert_eq!(variant.scenario.needs, ["gateway-api"]);
        assert_eq!(variant.scenario.proves, ["R7"]);
        assert_eq!(split("b/a@gateway-api"), ("b/a", Some("gateway-api")));
    }

    #[test]
    fn without_such_a_file_or_when_it_is_applied_by_name_there_is_none() {
        assert!(scenario(&["a.istio.yaml"], TEXT).is_none());
        let by_name = TEXT.replace("apply: half", "apply: gateway-api");
        assert!(scenario(&["a.istio.yaml", "a.gateway-api.yaml"], &by_name).is_none());
    }

    #[rstest::rstest]
    #[case(false, "istio", "x/a.istio.yaml")]
    #[case(false, "gateway-api", "x/a.gateway-api.yaml")]
    #[case(true, "istio", "x/a.gateway-api.yaml")]
    #[case(true, "half", "x/a.half.gateway-api.yaml")]
    fn a_name_means_a_file_in_each_dialect(
        #[case] variant: bool,
        #[case] name: &str,
        #[case] path: &str,
    ) {
        assert_eq!(file("x/a", name, variant), path);
    }
}
