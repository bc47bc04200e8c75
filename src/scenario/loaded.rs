//! A loaded scenario with the position of each of its values, and the files beside it.

use std::{path::PathBuf, sync::Arc};

use super::{
    dialect::{self, Dialect},
    file::LoadError,
    finding::Finding,
    load::Tree,
    model::Scenario,
};
use crate::yaml::SourceMap;

/// A scenario with the file it came from.
#[derive(Debug, Clone)]
pub struct LoadedScenario {
    /// See [`super::load::Identity::id`]; with `@gateway-api` for a variant.
    pub id: String,
    /// API that its configuration is written in.
    pub dialect: Dialect,
    /// First part of the id.
    pub area: String,
    /// Path for display.
    pub file: String,
    pub text: Arc<str>,
    pub scenario: Scenario,
    pub places: Arc<SourceMap>,
    /// Number of this run in the plan, from 1; 0 if the scenario runs once.
    pub attempt: u32,
    /// The same for every name of its file.
    pub origin: PathBuf,
    /// Root of its suite, which has the lists of expected failures.
    pub home: Option<Tree>,
    /// Whether it is the Gateway API variant of another scenario.
    pub(super) variant: bool,
    /// Path in its tree, without the extension.
    pub(super) stem: String,
    pub(super) tree: Tree,
}

/// A file beside a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiblingFile {
    /// Path for display.
    pub file: String,
    pub text: String,
}

/// Name of a run of a scenario: the id, followed by `~N` for the N-th run. The first run, and the
/// only one (0), is named by the id alone.
pub fn run_name(id: &str, attempt: u32) -> String {
    match attempt {
        0 | 1 => id.to_owned(),
        attempt => format!("{id}~{attempt}"),
    }
}

impl LoadedScenario {
    /// The file of `apply: <name>`: `<behaviour>.<name>.yaml`, or the file of its dialect.
    ///
    /// # Errors
    /// The file exists but cannot be read.
    pub fn config(&self, name: &str) -> Result<Option<SiblingFile>, LoadError> {
        self.beside(&self.config_path(name))
    }

    /// Path of [`Self::config`], relative to its tree.
    pub fn config_path(&self, name: &str) -> String {
        dialect::file(&self.stem, name, self.variant)
    }

    /// Folder of its evidence, one per run.
    pub fn folder(&self) -> String {
        run_name(&self.id, self.attempt)
    }

    /// Whether it is the Gateway API variant of another scenario.
    pub fn is_variant(&self) -> bool {
        self.variant
    }

    /// `<template>.yaml` in the scenario's folder: its own workload file.
    ///
    /// # Errors
    /// The file exists but cannot be read.
    pub fn workload(&self, template: &str) -> Result<Option<SiblingFile>, LoadError> {
        self.beside(&self.beside_it(&format!("{template}.yaml")))
    }

    /// Path, in its tree, of a file in its folder.
    pub(super) fn beside_it(&self, name: &str) -> String {
        let folder = self.in_tree();
        let slash = if folder.is_empty() { "" } else { "/" };
        format!("{folder}{slash}{name}")
    }

    /// Its folder in its tree.
    fn in_tree(&self) -> &str {
        self.stem.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// Names of the files that belong to it alone (`<behaviour>.….yaml` and `.yml`), as in `apply:`
    /// but with their extensions.
    ///
    /// # Errors
    /// Its folder cannot be listed.
    pub fn own_files(&self) -> Result<Vec<String>, LoadError> {
        let name = self.stem.rsplit('/').next().unwrap_or(&self.stem);
        let own = format!("{name}.");
        let names = self.tree.names(self.in_tree())?;
        let names = names.iter().filter_map(|name| name.strip_prefix(&own));
        Ok(names
            .filter(|rest| rest.contains('.'))
            .map(str::to_owned)
            .collect())
    }

    pub(super) fn beside(&self, path: &str) -> Result<Option<SiblingFile>, LoadError> {
        let text = self.tree.read(path)?;
        Ok(text.map(|text| SiblingFile {
            file: self.tree.display(path),
            text,
        }))
    }

    /// A finding at the key of `path`.
    pub fn at(&self, path: &str, message: impl Into<String>, help: impl Into<String>) -> Finding {
        Finding::new(&self.file, &self.text, self.places.key(path), message, help)
    }

    /// A finding at the value of `path`.
    pub fn at_value(
        &self,
        path: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Finding {
        let position = self.places.value(path);
        Finding::new(&self.file, &self.text, position, message, help)
    }
}
