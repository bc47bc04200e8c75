//! Loads the scenarios selected on the command line.

use std::path::PathBuf;

use super::{
    dialect,
    file::LoadError,
    finding::Finding,
    load::{SelectionWord, Suites, Tree, selection},
    loaded::LoadedScenario,
    parse::{Role, is_manifest, parse, role},
};
use crate::text::{glob, nearest};

/// The selected scenarios, and findings about files that could not be read.
#[derive(Debug, Default)]
pub struct ScenarioSet {
    /// Sorted by id, without duplicates.
    pub scenarios: Vec<LoadedScenario>,
    pub findings: Vec<Finding>,
    /// Number of files that contain only Kubernetes objects.
    pub manifests: usize,
}

/// Loads the scenarios that the arguments name; everything in `suites` if there are none.
///
/// # Errors
/// An argument that names nothing. A file or folder that exists but cannot be read, or is not a
/// scenario, is a finding instead.
pub fn load_all(suites: &Suites, args: &[PathBuf]) -> Result<ScenarioSet, LoadError> {
    let mut set = ScenarioSet::default();
    if args.is_empty() {
        set.add(&suites.tree, |_| true);
    }
    for word in args {
        match selection(word)? {
            SelectionWord::Folder(tree) => set.add(&tree, |_| true),
            SelectionWord::File(tree, name) => set.add_file(&tree, &name),
            SelectionWord::Ids(pattern) => {
                let mut named = ScenarioSet::default();
                let (stem, dialect) = dialect::split(&pattern);
                let below = format!("{stem}/");
                named.add(&suites.tree, |id| {
                    id == stem || id.starts_with(&below) || glob(stem, id)
                });
                if let Some(dialect) = dialect {
                    named.scenarios.retain(|one| one.dialect.name() == dialect);
                }
                if named.scenarios.is_empty() && named.findings.is_empty() {
                    let word = word.display().to_string();
                    let help = near(suites, &pattern);
                    return Err(LoadError::Nothing { word, help });
                }
                set.scenarios.extend(named.scenarios);
                set.findings.extend(named.findings);
            }
        }
    }
    set.tidy();
    Ok(set)
}

/// Suggestion for an argument that names nothing.
fn near(suites: &Suites, pattern: &str) -> String {
    let files = suites.tree.scan().files;
    let (objects, scenarios): (Vec<&String>, Vec<&String>) = files
        .iter()
        .filter(|path| role(path, path) == Role::Scenario)
        .partition(|path| {
            let text = suites.tree.read(path).ok().flatten();
            text.is_some_and(|text| is_manifest(&text))
        });
    if objects
        .iter()
        .any(|path| path.strip_suffix(".yaml") == Some(pattern))
    {
        return "its file contains Kubernetes objects; pass the scenario that applies or uses it"
            .to_owned();
    }
    let ids: Vec<&str> = scenarios
        .iter()
        .filter_map(|path| path.strip_suffix(".yaml"))
        .collect();
    let mut known: Vec<&str> = ids
        .iter()
        .filter_map(|id| Some(id.split_once('/')?.0))
        .collect();
    known.dedup();
    known.extend(&ids);
    // The same name in any area.
    let name = |id: &str| id.rsplit('/').next().unwrap_or(id).to_owned();
    let same = ids.iter().find(|id| name(id) == name(pattern));
    match same.copied().or_else(|| nearest(pattern, &known)) {
        Some(id) => format!("did you mean '{id}'? `meshproof list` shows the ids"),
        None => "`meshproof list` shows the ids".to_owned(),
    }
}

impl ScenarioSet {
    /// Adds every scenario of a folder whose path, without the extension, matches.
    fn add(&mut self, tree: &Tree, expected: impl Fn(&str) -> bool) {
        let scan = tree.scan();
        for problem in &scan.problems {
            self.findings.push(Finding::from_load(problem));
        }
        for path in &scan.files {
            if !expected(path.strip_suffix(".yaml").unwrap_or(path)) {
                continue;
            }
            match role(&tree.identity(path).id, path) {
                Role::Scenario => {
                    self.read(tree, path);
                }
                Role::Manifest => self.manifests += 1,
                Role::Known | Role::Mutations | Role::Foreign => {}
            }
        }
        for path in scan.yml.iter().filter(|path| expected(path)) {
            self.look_at_yml(tree, path, &scan.files);
        }
    }

    /// Adds one file by its name.
    fn add_file(&mut self, tree: &Tree, name: &str) {
        let file = tree.display(name);
        let mut refuse = |message: &str, help: &str| {
            let finding = Finding::of_file(&file, message, help);
            self.findings.push(finding);
        };
        match role(&tree.identity(name).id, name) {
            Role::Known => refuse(
                "this is a list of expected failures, not a scenario",
                "pass the folder of the suite: its lists are checked with it",
            ),
            Role::Mutations => refuse(
                "this is a list of mutations, not a scenario",
                "use it with `meshproof mutate`",
            ),
            Role::Foreign => refuse(
                "this is a kustomize or Helm file, not a scenario",
                "render it (`kustomize build`, `helm template`) into a file that a scenario applies",
            ),
            _ if name.ends_with(".yml") => refuse(
                "the names of suite files must end in .yaml",
                "rename it from .yml to .yaml",
            ),
            _ => {
                let before = self.manifests;
                self.read(tree, name);
                if self.manifests > before {
                    let help = "pass the scenario that applies or uses it; CONTRIBUTING.md shows how to write one";
                    let message = "this file contains Kubernetes objects, not a scenario";
                    self.findings.push(Finding::of_file(&file, message, help));
                }
            }
        }
    }

    /// Reports a file that would be read if its name ended in `.yaml`.
    fn look_at_yml(&mut self, tree: &Tree, path: &str, files: &[String]) {
        let name = path.rsplit('/').next().unwrap_or(path);
        let stem = name.split('.').next().unwrap_or_default();
        let folder = &path[..path.len() - name.len()];
        let beside = files.contains(&format!("{folder}{stem}.yaml"));
        let scenario = || {
            let text = tree.read(path).ok().flatten().unwrap_or_default();
            let has = |key: &str| text.lines().any(|line| line.starts_with(key));
            has("probes:") && has("steps:")
        };
        if beside || scenario() {
            let message = "this file is ignored: the names of suite files must end in .yaml";
            let finding =
                Finding::of_file(&tree.display(path), message, "rename it from .yml to .yaml");
            self.findings.push(finding);
        }
    }

    fn read(&mut self, tree: &Tree, path: &str) {
        let text = match tree.read(path) {
            Ok(Some(text)) => text,
            // Deleted since it was listed, or a dangling link.
            Ok(None) => {
                let finding = Finding::of_file(
                    &tree.display(path),
                    "this file does not exist, or is a dangling link",
                    "remove the link, or create its target",
                );
                return self.findings.push(finding);
            }
            Err(error) => return self.findings.push(Finding::from_load(&error)),
        };
        if is_manifest(&text) {
            self.manifests += 1;
            return;
        }
        match parse(tree, path, text) {
            Ok(loaded) => {
                match dialect::variant(&loaded) {
                    Ok(variant) => self.scenarios.extend(variant),
                    Err(error) => self.findings.push(Finding::from_load(&error)),
                }
                self.scenarios.push(loaded);
            }
            Err(findings) => self.findings.extend(findings),
        }
    }

    /// Sorts the scenarios and removes duplicates; two files with the same id are reported.
    fn tidy(&mut self) {
        let key = |one: &LoadedScenario| (one.id.clone(), one.origin.clone());
        self.scenarios.sort_by_key(key);
        self.scenarios.dedup_by_key(|one| key(one));
        let mut last: Option<(String, String)> = None;
        let mut doubled = Vec::new();
        self.scenarios.retain(|one| {
            if let Some((id, file)) = &last
                && *id == one.id
            {
                let message = format!("two scenarios have the id '{id}': the other is {file}");
                let help =
                    "rename one, or put them below a folder `suites`: ids are paths relative to it";
                doubled.push(Finding::of_file(&one.file, message, help));
                return false;
            }
            last = Some((one.id.clone(), one.file.clone()));
            true
        });
        self.findings.extend(doubled);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::a_workload("balancing/stateful", "contains Kubernetes objects")]
    #[case::another_area("routing/stateful", "`meshproof list` shows the ids")]
    #[case::a_slip("balancing/headles", "did you mean 'balancing/headless'?")]
    fn a_word_that_names_nothing_is_told_what_it_may_have_meant(
        #[case] word: &str,
        #[case] message: &str,
    ) {
        let suites = Suites {
            tree: Tree::Embedded,
        };
        let error = load_all(&suites, &[word.into()]).expect_err("no scenario");
        let reported = error.to_string();
        assert!(reported.contains(message), "{reported}");
        assert!(!reported.contains(&format!("mean '{word}'")), "{reported}");
    }
}
