//! From a file to a typed scenario that knows where each of its words stands.

use std::{path::PathBuf, sync::Arc};

use super::{
    dialect::{self, Dialect},
    finding::Finding,
    load::{LoadError, Selection, Suites, Tree, selection},
    model::Scenario,
    select::glob,
};
use crate::{
    fixture::files,
    yaml::{self, Places},
};

/// A scenario with the file it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Path under `suites/` (or under the folder that the user named) without the ending.
    pub id: String,
    /// Objects that its configuration is written in.
    pub dialect: Dialect,
    /// First part of the id.
    pub area: String,
    /// Path for people.
    pub file: String,
    pub text: Arc<str>,
    pub scenario: Scenario,
    pub places: Places,
    /// Which of its runs in a plan this is, from 1; 0 where it runs once.
    pub attempt: u32,
    /// Path in its tree, without the ending.
    pub(super) stem: String,
    pub(super) tree: Tree,
}

/// A file beside a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    /// Path for people.
    pub file: String,
    pub text: String,
}

/// Name of one of the runs of a scenario: the id, and `~N` for the N-th. The first, and the only one (0), has the id's own.
pub fn run_name(id: &str, attempt: u32) -> String {
    match attempt {
        0 | 1 => id.to_owned(),
        attempt => format!("{id}~{attempt}"),
    }
}

impl Loaded {
    /// `<behaviour>.<name>.yaml` (or the file of its dialect): what `apply: <name>` means.
    ///
    /// # Errors
    /// The file is there but cannot be read.
    pub fn config(&self, name: &str) -> Result<Option<Beside>, LoadError> {
        self.beside(&self.config_path(name))
    }

    /// Where [`Self::config`] looks, below the folder of the suites.
    pub fn config_path(&self, name: &str) -> String {
        dialect::file(&self.stem, name, self.is_twin())
    }

    /// Where its evidence is kept: a folder of its own for each run.
    pub fn folder(&self) -> String {
        run_name(&self.id, self.attempt)
    }

    /// It is another scenario in another dialect.
    pub fn is_twin(&self) -> bool {
        self.id != self.stem
    }

    /// `<uses>.yaml` in the scenario's folder: a workload of its own.
    ///
    /// # Errors
    /// The file is there but cannot be read.
    pub fn workload(&self, uses: &str) -> Result<Option<Beside>, LoadError> {
        let folder = self.stem.rsplit_once('/').map_or("", |(folder, _)| folder);
        let slash = if folder.is_empty() { "" } else { "/" };
        self.beside(&format!("{folder}{slash}{uses}.yaml"))
    }

    /// Every file that can change what this scenario does to the mesh: its own configuration and its workloads.
    ///
    /// # Errors
    /// In words: a file that cannot be read, a workload that is not there.
    pub fn inputs(&self) -> Result<Vec<Beside>, String> {
        let mut found = Vec::new();
        let own = format!("{}.", self.stem);
        for path in self.tree.files().map_err(|error| error.to_string())? {
            let other_dialect = self.is_twin() && !path.contains(".gateway-api.");
            if path.starts_with(&own) && !other_dialect {
                let file = self.beside(&path).map_err(|error| error.to_string())?;
                found.extend(file);
            }
        }
        for workload in &self.scenario.world {
            let (file, text) = files::workload(self, &workload.uses)?;
            found.push(Beside { file, text });
        }
        Ok(found)
    }

    fn beside(&self, path: &str) -> Result<Option<Beside>, LoadError> {
        let text = self.tree.read(path)?;
        Ok(text.map(|text| Beside {
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
        let place = self.places.value(path);
        Finding::new(&self.file, &self.text, place, message, help)
    }
}

/// All that was asked for, and what could not be read.
#[derive(Debug, Default)]
pub struct LoadedSet {
    /// By id, without doubles.
    pub scenarios: Vec<Loaded>,
    pub findings: Vec<Finding>,
}

/// Loads what the words name; everything in `suites` when there are none.
///
/// # Errors
/// A word that names nothing, or a file system that refuses. A file that is no scenario is a finding instead.
pub fn load_all(suites: &Suites, words: &[PathBuf]) -> Result<LoadedSet, LoadError> {
    let mut set = LoadedSet::default();
    if words.is_empty() {
        add(&mut set, &suites.tree, |_| true)?;
    }
    for word in words {
        let before = (set.scenarios.len(), set.findings.len());
        match selection(word) {
            Selection::Folder(tree) => add(&mut set, &tree, |_| true)?,
            Selection::File(tree, inside) if inside.ends_with('/') => {
                add(&mut set, &tree, |path| path.starts_with(&inside))?;
            }
            Selection::File(tree, inside) => read_into(&mut set, &tree, &inside)?,
            Selection::Ids(pattern) => {
                let (pattern, dialect) = dialect::split(&pattern);
                let below = format!("{pattern}/");
                add(&mut set, &suites.tree, |path| {
                    let id = path.trim_end_matches(".yaml");
                    id == pattern || id.starts_with(&below) || glob(pattern, id)
                })?;
                if let Some(dialect) = dialect {
                    let earlier = set.scenarios.drain(..before.0).collect::<Vec<_>>();
                    set.scenarios.retain(|one| one.dialect.name() == dialect);
                    set.scenarios.splice(..0, earlier);
                }
                if (set.scenarios.len(), set.findings.len()) == before {
                    return Err(LoadError::Nothing(word.display().to_string()));
                }
            }
        }
    }
    set.scenarios.sort_by(|a, b| a.id.cmp(&b.id));
    set.scenarios
        .dedup_by(|a, b| a.id == b.id && a.file == b.file);
    Ok(set)
}

fn add(set: &mut LoadedSet, tree: &Tree, wanted: impl Fn(&str) -> bool) -> Result<(), LoadError> {
    for path in tree.files()? {
        if is_behaviour(&path) && wanted(&path) {
            read_into(set, tree, &path)?;
        }
    }
    Ok(())
}

/// Files with a second dot in their name are mesh configuration; `known/` holds lists.
pub fn is_behaviour(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.strip_suffix(".yaml");
    stem.is_some_and(|stem| !stem.contains('.'))
        && !path.starts_with("known/")
        && !path.starts_with("mutations/")
}

/// Kubernetes objects in a folder of scenarios are workloads (`uses:`), not scenarios.
fn is_manifest(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("apiVersion:"))
}

fn read_into(set: &mut LoadedSet, tree: &Tree, path: &str) -> Result<(), LoadError> {
    let Some(text) = tree.read(path)? else {
        return Ok(());
    };
    if is_manifest(&text) {
        return Ok(());
    }
    match parse(tree, path, text) {
        Ok(loaded) => {
            set.scenarios.extend(dialect::twin(&loaded)?);
            set.scenarios.push(loaded);
        }
        Err(finding) => set.findings.push(*finding),
    }
    Ok(())
}

/// Reads one text as a scenario.
///
/// # Errors
/// A finding with place and way out.
pub fn parse(tree: &Tree, path: &str, text: String) -> Result<Loaded, Box<Finding>> {
    let text: Arc<str> = text.into();
    let file = tree.display(path);
    match yaml::parse::<Scenario>(&text) {
        Ok((scenario, places)) => {
            let id = path.trim_end_matches(".yaml").to_owned();
            let area = id
                .split_once('/')
                .map_or("user", |(area, _)| area)
                .to_owned();
            let mut loaded = Loaded {
                stem: id.clone(),
                id,
                dialect: Dialect::of(&scenario),
                area,
                file,
                text,
                scenario,
                places,
                attempt: 0,
                tree: tree.clone(),
            };
            read_replicas(&mut loaded);
            Ok(loaded)
        }
        Err(error) => Err(Box::new(Finding::from_yaml(&file, &text, &error))),
    }
}

/// Sample sizes depend on the pods that a workload has: what the scenario leaves open stands in the workload's file.
fn read_replicas(loaded: &mut Loaded) {
    for at in 0..loaded.scenario.world.len() {
        let workload = &loaded.scenario.world[at];
        if workload.replicas.is_none() {
            let found = files::replicas(loaded, &workload.uses);
            loaded.scenario.world[at].in_file = found;
        }
    }
}
