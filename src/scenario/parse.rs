//! From a file to a typed scenario that knows where each of its words stands.

use std::{path::PathBuf, sync::Arc};

use super::{
    dialect::{self, Dialect},
    file::LoadError,
    finding::Finding,
    limits,
    load::{KNOWN_FOLDER, Tree},
    model::Scenario,
};
use crate::{
    fixture::files,
    yaml::{self, Places},
};

/// A scenario with the file it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// See [`super::load::Identity::id`]; with `@gateway-api` for a scenario in its other dialect.
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
    /// The same for every name of its file.
    pub origin: PathBuf,
    /// Root of its suite, where the list of expected failures lies.
    pub home: Option<Tree>,
    /// It is another scenario in another dialect.
    pub(super) twin: bool,
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
        dialect::file(&self.stem, name, self.twin)
    }

    /// Where its evidence is kept: a folder of its own for each run.
    pub fn folder(&self) -> String {
        run_name(&self.id, self.attempt)
    }

    /// It is another scenario in another dialect.
    pub fn is_twin(&self) -> bool {
        self.twin
    }

    /// `<uses>.yaml` in the scenario's folder: a workload of its own.
    ///
    /// # Errors
    /// The file is there but cannot be read.
    pub fn workload(&self, uses: &str) -> Result<Option<Beside>, LoadError> {
        self.beside(&self.beside_it(&format!("{uses}.yaml")))
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

    /// Names of the files that belong to it alone (`<behaviour>.….yaml` and `.yml`), as `apply:` would have them with their endings.
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

    /// Every file that can change what this scenario does to the mesh: its own configuration and its workloads.
    ///
    /// # Errors
    /// In words: a file that cannot be read, a workload that is not there.
    pub fn inputs(&self) -> Result<Vec<Beside>, String> {
        let mut found = Vec::new();
        for rest in self.own_files().map_err(|error| error.to_string())? {
            let other_dialect = self.twin && !format!(".{rest}").contains(".gateway-api.");
            if rest.ends_with(".yaml") && !other_dialect {
                let file = self.beside(&format!("{}.{rest}", self.stem));
                found.extend(file.map_err(|error| error.to_string())?);
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

/// By its id and its name: a second dot is mesh configuration; `known/` and `mutations/` hold lists.
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
/// Findings with place and way out: it cannot be read, or it asks for more than any scenario may ([`limits`]).
pub fn parse(tree: &Tree, path: &str, text: String) -> Result<Loaded, Vec<Finding>> {
    let text: Arc<str> = text.into();
    let file = tree.display(path);
    let (scenario, places) = yaml::parse::<Scenario>(&text)
        .map_err(|error| vec![Finding::from_yaml(&file, &text, &error)])?;
    let identity = tree.identity(path);
    let area = identity.id.split_once('/').map_or("user", |(area, _)| area);
    let mut loaded = Loaded {
        stem: path.strip_suffix(".yaml").unwrap_or(path).to_owned(),
        area: area.to_owned(),
        id: identity.id,
        origin: identity.origin,
        home: identity.home,
        dialect: Dialect::of(&scenario),
        twin: false,
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
