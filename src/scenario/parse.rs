//! From a file to a typed scenario that knows where each of its words stands.

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

/// What a file in a folder of suites is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Scenario,
    /// Kubernetes objects: a workload (`uses:`), or configuration that a scenario applies.
    Manifest,
    /// A list of expected failures.
    Known,
    /// A list of mutations.
    Mutations,
    /// A file of another tool, by its name.
    Foreign,
}

/// By its id and its name: a second dot is mesh configuration; `known/` and `mutations/` hold
/// lists.
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

/// Kubernetes objects in a folder of scenarios are workloads (`uses:`), not scenarios.
pub fn is_manifest(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("apiVersion:"))
}

/// Reads one text as a scenario.
///
/// # Errors
/// Findings with place and way out: it cannot be read, or it asks for more than any scenario may
/// ([`limits`]).
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
        places,
        attempt: 0,
        tree: tree.clone(),
    };
    limits::before_files(&loaded)?;
    read_replicas(&mut loaded);
    limits::pods(&loaded)?;
    Ok(loaded)
}

/// Sample sizes depend on the pods that a workload has: what the scenario leaves open stands in the
/// workload's file.
fn read_replicas(loaded: &mut LoadedScenario) {
    for at in 0..loaded.scenario.workloads.len() {
        let workload = &loaded.scenario.workloads[at];
        if workload.replicas.is_none() {
            let found = workload_file::replicas(loaded, &workload.template);
            loaded.scenario.workloads[at].in_file = found;
        }
    }
}
