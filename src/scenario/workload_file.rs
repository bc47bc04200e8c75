//! Workload files: beside the scenario, in `fixtures/workloads` of the working directory, or
//! embedded in the binary.

use std::path::Path;

use include_dir::{Dir, include_dir};
use serde_json::Value;
use testbed::control::CONTROL_PORT;

use super::{
    file::{self, LoadError},
    loaded::{LoadedScenario, SiblingFile},
    objects,
};
use crate::errors::{Classified, ErrorClass};

static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/fixtures/workloads");

/// A workload file that cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadFileError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(
        "no workload file {name} beside the scenario or in fixtures/workloads; built-in files: {built_in}"
    )]
    Missing { name: String, built_in: String },
}

/// The scenario names the file.
impl Classified for WorkloadFileError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Input
    }
}

impl LoadedScenario {
    /// Every file that can change what this scenario does to the mesh: its own configuration and
    /// its workloads.
    ///
    /// # Errors
    /// A file that cannot be read, or a workload without a file.
    pub fn inputs(&self) -> Result<Vec<SiblingFile>, WorkloadFileError> {
        let mut found = Vec::new();
        for rest in self.own_files()? {
            let other_dialect = self.variant && !format!(".{rest}").contains(".gateway-api.");
            if rest.ends_with(".yaml") && !other_dialect {
                let file = self.beside(&format!("{}.{rest}", self.stem));
                found.extend(file?);
            }
        }
        for workload in &self.scenario.workloads {
            let (file, text) = self::workload(self, &workload.template)?;
            found.push(SiblingFile { file, text });
        }
        Ok(found)
    }
}

/// Path for display and text of `<template>.yaml`.
///
/// # Errors
/// No such file anywhere, or it cannot be read.
pub fn workload(
    loaded: &LoadedScenario,
    template: &str,
) -> Result<(String, String), WorkloadFileError> {
    if let Some(file) = loaded.workload(template)? {
        return Ok((file.file, file.text));
    }
    shared(template)
}

/// The first `spec.replicas` of the file; `None` when it has none, is missing or cannot be read
/// (lint reports that).
pub fn replicas(loaded: &LoadedScenario, template: &str) -> Option<u32> {
    let (_, text) = workload(loaded, template).ok()?;
    let documents = objects::values(&text).ok()?;
    let count = documents
        .iter()
        .find_map(|object| object.pointer("/spec/replicas")?.as_u64())?;
    Some(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Whether the workload accepts call plans, according to its file; false if that is missing or
/// cannot be read (lint reports that).
pub fn is_caller(loaded: &LoadedScenario, template: &str) -> bool {
    let text = workload(loaded, template).map(|(_, text)| text);
    let documents = text.ok().and_then(|text| objects::values(&text).ok());
    documents.is_some_and(|documents| makes_caller(&documents))
}

/// Whether these objects make a caller, which probes can use in `from`: one of their pods accepts
/// call plans on the control port.
pub fn makes_caller(documents: &[Value]) -> bool {
    let containers = documents.iter().filter_map(|object| {
        let containers = object.pointer("/spec/template/spec/containers")?;
        containers.as_array()
    });
    let mut ports = containers
        .flatten()
        .filter_map(|container| container["ports"].as_array())
        .flatten();
    ports.any(|port| port["containerPort"] == CONTROL_PORT)
}

/// A shared workload file, from `fixtures/workloads` or the binary.
///
/// # Errors
/// As [`workload`].
pub fn shared(template: &str) -> Result<(String, String), WorkloadFileError> {
    let name = format!("{template}.yaml");
    let path = Path::new("fixtures/workloads").join(&name);
    if let Some(text) = file::read(&path)? {
        return Ok((path.display().to_string(), text));
    }
    let file = BUILT_IN
        .get_file(&name)
        .and_then(|file| file.contents_utf8());
    match file {
        Some(text) => Ok((path.display().to_string(), text.to_owned())),
        None => Err(WorkloadFileError::Missing {
            name,
            built_in: built_in().collect::<Vec<_>>().join(", "),
        }),
    }
}

/// Names of the workload files embedded in the binary.
pub fn built_in() -> impl Iterator<Item = &'static str> {
    let files = BUILT_IN.files().map(include_dir::File::path);
    let yaml = files.filter(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    yaml.filter_map(|path| path.file_stem()?.to_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_caller_is_known_by_its_control_port_whatever_its_name() {
        let file = |port: u64| {
            json!({"kind": "Deployment", "spec": {"template": {"spec": {"containers": [
                {"args": ["x"], "ports": [{"containerPort": 1}, {"containerPort": port}]}]}}}})
        };
        assert!(makes_caller(&[json!({"kind": "Service"}), file(15999)]));
        assert!(!makes_caller(&[json!({"kind": "Service"}), file(50051)]));
    }
}
