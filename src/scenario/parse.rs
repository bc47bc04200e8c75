//! Parses a file into a typed scenario with the position of each of its values.

use std::sync::Arc;

use super::{
    dialect::Dialect,
    finding::Finding,
    limits,
    load::{KNOWN_FOLDER, Tree},
    loaded::LoadedScenario,
    model::Scenario,
    workload_file,
};
use crate::yaml;

/// The role of a file in a suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Scenario,
    /// Kubernetes objects: a workload (`template:`), or configuration that a scenario applies.
    Manifest,
    /// A list of expected failures.
    Known,
    /// A list of mutations.
    Mutations,
    /// A file of another tool, by name.
    Foreign,
}

/// The role by id and name: a second dot marks mesh configuration; `known/` and `mutations/`
/// contain lists.
pub fn role(id: &str, path: &str) -> Role {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.strip_suffix(".yaml").unwrap_or(name);
    match id.split_once('/') {
        Some((KNOWN_FOLDER, _)) => Role::Known,
        Some(("mutations", _)) => Role::Mutations,
        _ if matches!(stem, "kustomization" | "Chart" | "values") => Role::Foreign,
        _ if stem.contains('.') => Role::Manifest,
        _ => Role::Scenario,
    }
}

/// Kubernetes objects in a folder of scenarios are workloads (`template:`), not scenarios.
pub fn is_manifest(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("apiVersion:"))
}

/// Parses one text as a scenario.
///
/// # Errors
/// Findings: the text cannot be parsed, or the scenario exceeds the [`limits`].
pub fn parse(tree: &Tree, path: &str, text: String) -> Result<LoadedScenario, Vec<Finding>> {
    let text: Arc<str> = text.into();
    let file = tree.display(path);
    let (scenario, places) = yaml::parse::<Scenario>(&text)
        .map_err(|error| vec![Finding::from_yaml(&file, &text, &error)])?;
    let identity = tree.identity(path);
    let area = identity.id.split_once('/').map_or("user", |(area, _)| area);
    let mut loaded = LoadedScenario {
        stem: path.strip_suffix(".yaml").unwrap_or(path).to_owned(),
        area: area.to_owned(),
        id: identity.id,
        origin: identity.origin,
        home: identity.home,
        dialect: Dialect::of(&scenario),
        variant: false,
        file,
        text,
        scenario,
        places: Arc::new(places),
        attempt: 0,
        tree: tree.clone(),
    };
    limits::before_files(&loaded)?;
    read_replicas(&mut loaded);
    limits::pods(&loaded)?;
    Ok(loaded)
}

/// Sample sizes depend on the number of pods: if the scenario does not set it, the workload file
/// does.
fn read_replicas(loaded: &mut LoadedScenario) {
    for at in 0..loaded.scenario.workloads.len() {
        let workload = &loaded.scenario.workloads[at];
        if workload.replicas.is_none() {
            let found = workload_file::replicas(loaded, &workload.template);
            loaded.scenario.workloads[at].in_file = found;
        }
    }
}
