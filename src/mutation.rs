//! Mutations: the mesh broken in exactly one way, to see that exactly the scenarios concerned notice.
//!
//! A mutation is a text edit of manifests or workload files as they are loaded; files on disk stay as they are.

use std::path::Path;

use include_dir::{Dir, include_dir};
use serde::Deserialize;

use crate::scenario::{Loaded, parse::Beside, select::glob};

static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/suites/mutations");
/// Where mutations lie, from the root of the repository.
const FOLDER: &str = "suites/mutations";

/// One way to break the mesh.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Mutation {
    pub name: String,
    /// What is broken, as a sentence.
    pub what: String,
    pub edits: Vec<Edit>,
    /// Ids of the scenarios that must turn from PASS to FAIL; all others must stay PASS.
    pub turns_red: Vec<String>,
}

/// A replacement in every file whose path matches.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// Glob over paths from the root of the repository, e.g. `suites/retries/*.istio.yaml`.
    pub file: String,
    pub find: String,
    pub replace: String,
}

/// Why there is no such mutation.
#[derive(Debug, thiserror::Error)]
pub enum MutationError {
    #[error("{file}: {words}")]
    File { file: String, words: String },
    #[error("there is no mutation {name}; there are: {known}")]
    Unknown { name: String, known: String },
}

impl Mutation {
    /// The text as the mutation has it. `path` may be absolute or relative to anything: its end is matched.
    pub fn mutate(&self, path: &str, text: String) -> String {
        let path = path
            .find("suites/")
            .or_else(|| path.find("fixtures/"))
            .map_or(path, |at| &path[at..]);
        let edits = self.edits.iter().filter(|edit| glob(&edit.file, path));
        edits.fold(text, |text, edit| text.replace(&edit.find, &edit.replace))
    }
}

impl Mutation {
    /// The scenario reads a file that this mutation changes. One that does not is given the same mesh as without the
    /// mutation, so that a run of it would tell nothing.
    ///
    /// # Errors
    /// In words: a file of the scenario cannot be read.
    pub fn concerns(&self, scenario: &Loaded) -> Result<bool, String> {
        let inputs = scenario.inputs()?;
        let changed = |file: &Beside| self.mutate(&file.file, file.text.clone()) != file.text;
        Ok(inputs.iter().any(changed))
    }
}

/// All mutations, in the order of their names.
///
/// # Errors
/// A file that is no list of mutations.
pub fn all() -> Result<Vec<Mutation>, MutationError> {
    let mut found = Vec::new();
    for (file, text) in files()? {
        let bad = |words: String| MutationError::File {
            file: file.clone(),
            words,
        };
        let (list, _): (Vec<Mutation>, _) =
            crate::yaml::parse(&text).map_err(|error| bad(error.to_string()))?;
        found.extend(list);
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// The mutation of this name.
///
/// # Errors
/// When there is none, with the names that there are.
pub fn find(name: &str) -> Result<Mutation, MutationError> {
    let all = all()?;
    let known = all
        .iter()
        .map(|mutation| mutation.name.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    let found = all.into_iter().find(|mutation| mutation.name == name);
    found.ok_or_else(|| MutationError::Unknown {
        name: name.to_owned(),
        known,
    })
}

fn files() -> Result<Vec<(String, String)>, MutationError> {
    if !Path::new(FOLDER).is_dir() {
        let text = |file: &include_dir::File<'_>| {
            Some((
                file.path().display().to_string(),
                file.contents_utf8()?.to_owned(),
            ))
        };
        return Ok(BUILT_IN.files().filter_map(text).collect());
    }
    let bad = |error: std::io::Error| MutationError::File {
        file: FOLDER.to_owned(),
        words: error.to_string(),
    };
    let entries = std::fs::read_dir(FOLDER)
        .map_err(bad)?
        .flatten()
        .map(|entry| entry.path());
    let yaml = entries.filter(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    yaml.map(|path| {
        Ok((
            path.display().to_string(),
            std::fs::read_to_string(&path).map_err(bad)?,
        ))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_matching_files_are_edited() {
        let edit = Edit {
            file: "suites/retries/*.istio.yaml".into(),
            find: "attempts: 3".into(),
            replace: "attempts: 0".into(),
        };
        let mutation = Mutation {
            name: "m".into(),
            what: "w".into(),
            edits: vec![edit],
            turns_red: Vec::new(),
        };
        let text = || "attempts: 3".to_owned();
        assert_eq!(
            mutation.mutate("/x/suites/retries/a.istio.yaml", text()),
            "attempts: 0"
        );
        assert_eq!(
            mutation.mutate("suites/routing/a.istio.yaml", text()),
            "attempts: 3"
        );
    }

    #[test]
    fn every_shipped_mutation_changes_a_file_that_is_there() {
        let shipped: Vec<_> = walk("suites")
            .into_iter()
            .chain(walk("fixtures"))
            .filter_map(|path| Some((std::fs::read_to_string(&path).ok()?, path)))
            .collect();
        for mutation in all().expect("they parse") {
            let mut files = shipped.clone(); // an edit may build on the one before it
            for edit in &mutation.edits {
                let mut touched = false;
                for (text, path) in &mut files {
                    if glob(&edit.file, path) && text.contains(&edit.find) {
                        *text = text.replace(&edit.find, &edit.replace);
                        touched = true;
                    }
                }
                assert!(
                    touched,
                    "mutation {}: no file {} contains {:?}",
                    mutation.name, edit.file, edit.find
                );
            }
        }
    }

    fn walk(folder: &str) -> Vec<String> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                found.extend(walk(&path.display().to_string()));
            } else {
                found.push(path.display().to_string());
            }
        }
        found
    }
}
