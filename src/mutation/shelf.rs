//! Loads mutations from disk or from the binary.

use std::{io, path::Path};

use include_dir::{Dir, include_dir};

use super::model::Mutation;
use crate::{
    errors::{Classified, ErrorClass},
    text::nearest,
    yaml::YamlError,
};

static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/suites/mutations");
/// Relative to the root of the repository.
const FOLDER: &str = "suites/mutations";

/// An error loading mutations.
#[derive(Debug, thiserror::Error)]
pub enum MutationError {
    #[error("{file}")]
    Yaml { file: String, source: YamlError },
    #[error("{file}")]
    Io { file: String, source: io::Error },
    #[error("unknown mutation '{name}'; {hint}`meshproof mutate --list` shows all {known}")]
    Unknown {
        name: String,
        hint: String,
        known: usize,
    },
}

impl Classified for MutationError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Yaml { .. } | Self::Unknown { .. } => ErrorClass::Input,
            Self::Io { .. } => ErrorClass::Machine,
        }
    }
}

/// All mutations, sorted by name.
///
/// # Errors
/// A file that cannot be read, or is not a list of mutations.
pub fn all() -> Result<Vec<Mutation>, MutationError> {
    let mut found = Vec::new();
    for (file, text) in files()? {
        let (list, _): (Vec<Mutation>, _) =
            crate::yaml::parse(&text).map_err(|source| MutationError::Yaml { file, source })?;
        found.extend(list);
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// The mutation of this name.
///
/// # Errors
/// There is none; the message suggests the most similar name.
pub fn find(name: &str) -> Result<Mutation, MutationError> {
    let all = all()?;
    let names: Vec<&str> = all.iter().map(|mutation| mutation.name.as_str()).collect();
    let unknown = MutationError::Unknown {
        name: name.to_owned(),
        hint: nearest(name, &names)
            .map_or_else(String::new, |name| format!("did you mean '{name}'? ")),
        known: names.len(),
    };
    let found = all.into_iter().find(|mutation| mutation.name == name);
    found.ok_or(unknown)
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
    let bad = |source| MutationError::Io {
        file: FOLDER.to_owned(),
        source,
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
    use std::collections::BTreeSet;

    use super::*;
    use crate::text::glob;

    #[test]
    fn an_unknown_name_is_refused_in_one_line_with_the_nearest() {
        let error = find("pool-limit-too-wid").expect_err("there is none");
        let message = error.to_string();
        assert!(message.contains("pool-limit-too-wide"), "{message}");
        assert!(message.len() < 200, "{message}");
    }

    #[test]
    fn names_are_unique_and_every_mutation_breaks_something_that_a_scenario_notices() {
        let all = all().expect("they parse");
        let names: BTreeSet<&str> = all.iter().map(|mutation| mutation.name.as_str()).collect();
        assert_eq!(names.len(), all.len(), "duplicate name");
        for mutation in &all {
            let nothing = mutation.edits.is_empty() && mutation.patches.is_empty();
            assert!(!nothing, "{} breaks nothing", mutation.name);
            assert!(!mutation.turns_red.is_empty(), "{}", mutation.name);
            for id in &mutation.turns_red {
                let file = id.split('@').next().unwrap_or(id);
                let file = format!("suites/{file}.yaml");
                assert!(Path::new(&file).is_file(), "{}: no {file}", mutation.name);
            }
        }
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
