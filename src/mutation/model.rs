//! One way to break the mesh: edits of files as they are loaded, or patches of the configuration
//! that the control plane sends to proxies. Files on disk are not changed.

use serde::Deserialize;

use super::patch::Patch;
use crate::{
    scenario::{
        loaded::{LoadedScenario, SiblingFile},
        workload_file::WorkloadFileError,
    },
    text::glob,
};

/// One way to break the mesh. It has edits, patches or both.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Mutation {
    pub name: String,
    /// What is broken, as a sentence.
    pub what: String,
    #[serde(default)]
    pub edits: Vec<Edit>,
    /// Changes to the configuration that proxies receive.
    #[serde(default)]
    pub patches: Vec<Patch>,
    /// Scenarios (globs over ids) that get the patches in addition to those of `turns-red`; they
    /// must stay PASS.
    #[serde(default)]
    pub beside: Vec<String>,
    /// Ids of the scenarios that must turn from PASS to FAIL; all others must stay PASS.
    pub turns_red: Vec<String>,
}

/// A replacement in every file whose path matches.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// Glob over paths relative to the root of the repository, e.g. `suites/retries/*.istio.yaml`.
    pub file: String,
    pub find: String,
    pub replace: String,
}

impl Mutation {
    /// The text with the edits applied. `path` may be absolute or relative to any directory: its
    /// end is matched.
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
    /// Whether the scenario reads a file that this mutation changes, or is named by it for its
    /// patches. Any other scenario gets the same mesh as without the mutation: running it would
    /// prove nothing.
    ///
    /// # Errors
    /// A file of the scenario cannot be read.
    pub fn concerns(&self, scenario: &LoadedScenario) -> Result<bool, WorkloadFileError> {
        let named = self.turns_red.iter().chain(&self.beside);
        if !self.patches.is_empty() && named.into_iter().any(|id| glob(id, &scenario.id)) {
            return Ok(true);
        }
        let inputs = scenario.inputs()?;
        let changed = |file: &SiblingFile| self.mutate(&file.file, file.text.clone()) != file.text;
        Ok(inputs.iter().any(changed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutation(text: &str) -> Mutation {
        serde_yaml::from_str(text).expect("it parses")
    }

    #[test]
    fn only_matching_files_are_edited() {
        let mutation = mutation(
            "{name: m, what: w, turns-red: [], edits: [{file: suites/retries/*.istio.yaml, find: 'attempts: 3', replace: 'attempts: 0'}]}",
        );
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
}
