//! Expected failures: `known/<mesh>-<version or *>.yaml`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    finding::{Finding, did_you_mean},
    load::{KNOWN_FOLDER, Tree},
    loaded::LoadedScenario,
};
pub use crate::verdict::known::Known;
use crate::{
    text::glob,
    yaml::{self, SourceMap},
};

/// One expected failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct KnownEntry {
    /// A scenario's id.
    pub id: String,
    /// Cases that fail; absent: the scenario as a whole.
    #[serde(default)]
    pub cases: Vec<String>,
    /// What the mesh does instead.
    pub reason: String,
    /// URL of the report.
    pub link: String,
    /// Only with these versions of the proxy, e.g. `1.36.*`.
    #[serde(default)]
    pub envoy: Option<String>,
    /// Only with these releases of the mesh.
    #[serde(default)]
    pub mesh_version: Option<String>,
}

/// The list for one mesh and version.
#[derive(Debug, Clone)]
pub struct KnownFile {
    pub file: String,
    pub mesh: String,
    /// As in the file name; `*` for all.
    pub version: String,
    pub entries: Vec<KnownEntry>,
    text: Arc<str>,
    places: SourceMap,
}

/// The running versions, by which entries are selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeshVersions<'a> {
    pub mesh: &'a str,
    pub version: &'a str,
    pub envoy: &'a str,
}

/// Reads every list of the suite at this root; files that are not valid lists become findings.
pub fn load_known(root: &Tree) -> (Vec<KnownFile>, Vec<Finding>) {
    let (mut files, mut findings) = (Vec::new(), Vec::new());
    // A suite without this folder has no expected failures.
    let names = root.names(KNOWN_FOLDER).unwrap_or_default();
    for name in names.iter().filter(|name| name.ends_with(".yaml")) {
        let path = format!("{KNOWN_FOLDER}/{name}");
        match root.read(&path) {
            Ok(Some(text)) => match parse_known(&root.display(&path), &path, text) {
                Ok(file) => files.push(file),
                Err(finding) => findings.push(*finding),
            },
            Ok(None) => {}
            Err(error) => findings.push(Finding::from_load(&error)),
        }
    }
    (files, findings)
}

/// The lists of every suite that these scenarios belong to.
pub fn load_known_of(scenarios: &[LoadedScenario]) -> (Vec<KnownFile>, Vec<Finding>) {
    let mut roots: Vec<&Tree> = Vec::new();
    for root in scenarios.iter().filter_map(|loaded| loaded.home.as_ref()) {
        if !roots.contains(&root) {
            roots.push(root);
        }
    }
    let (mut files, mut findings) = (Vec::new(), Vec::new());
    for root in roots {
        let (more, wrong) = load_known(root);
        files.extend(more);
        findings.extend(wrong);
    }
    (files, findings)
}

/// Reads one list; mesh and version come from the file name.
///
/// # Errors
/// A finding: the text is not a list, or the file name has no mesh and version.
pub fn parse_known(file: &str, path: &str, text: String) -> Result<KnownFile, Box<Finding>> {
    let text: Arc<str> = text.into();
    let (entries, places) = yaml::parse::<Vec<KnownEntry>>(&text)
        .map_err(|error| Box::new(Finding::from_yaml(file, &text, &error)))?;
    let name = path
        .rsplit('/')
        .next()
        .unwrap_or(path)
        .trim_end_matches(".yaml");
    let Some((mesh, version)) = name.split_once('-') else {
        let message = format!("the file name '{name}' has no mesh and version");
        let help = "name the file <mesh>-<version>.yaml, e.g. istio-1.31.yaml or istio-*.yaml";
        let position = places.key("");
        return Err(Box::new(Finding::new(file, &text, position, message, help)));
    };
    Ok(KnownFile {
        file: file.to_owned(),
        mesh: mesh.to_owned(),
        version: version.to_owned(),
        entries,
        text,
        places,
    })
}

/// The expected failure of a scenario on the running versions; cases of several entries are joined.
pub fn find(files: &[KnownFile], id: &str, running: MeshVersions<'_>) -> Option<Known> {
    let matching = files
        .iter()
        .filter(|file| file.mesh == running.mesh && version_matches(&file.version, running.version))
        .flat_map(|file| &file.entries)
        .filter(|entry| entry.id == id)
        .filter(|entry| {
            let fits = |expected: &Option<String>, is: &str| {
                expected
                    .as_deref()
                    .is_none_or(|pattern| version_matches(pattern, is))
            };
            fits(&entry.envoy, running.envoy) && fits(&entry.mesh_version, running.version)
        });
    matching.fold(None, |found: Option<Known>, entry| match found {
        None => Some(Known {
            reason: entry.reason.clone(),
            link: entry.link.clone(),
            cases: entry.cases.clone(),
        }),
        // An entry without cases covers the whole scenario.
        Some(mut known) if !known.cases.is_empty() && !entry.cases.is_empty() => {
            known.cases.extend(entry.cases.iter().cloned());
            Some(known)
        }
        Some(mut known) => {
            known.cases.clear();
            Some(known)
        }
    })
}

/// `1.31` covers 1.31.0, 1.31.4-rc.1, …; a pattern with `*` is a glob.
fn version_matches(pattern: &str, version: &str) -> bool {
    let version = version.trim_start_matches('v');
    let rest = version.strip_prefix(pattern);
    glob(pattern, version) || rest.is_some_and(|rest| rest.starts_with(['.', '-']))
}

/// Entries with an unknown scenario or case, without a reason or without a link.
pub fn lint_known(files: &[KnownFile], scenarios: &[LoadedScenario]) -> Vec<Finding> {
    let ids: Vec<&str> = scenarios.iter().map(|loaded| loaded.id.as_str()).collect();
    let mut findings = Vec::new();
    for file in files {
        for (at, entry) in file.entries.iter().enumerate() {
            let mut push = |key: String, message: String, help: String| {
                let position = file.places.value(&format!("[{at}].{key}"));
                findings.push(Finding::new(
                    &file.file, &file.text, position, message, help,
                ));
            };
            let Some(loaded) = scenarios.iter().find(|loaded| loaded.id == entry.id) else {
                let message = format!("no scenario is named '{}'", entry.id);
                push("id".to_owned(), message, did_you_mean(&entry.id, &ids));
                continue;
            };
            let probes = loaded.scenario.probes.values();
            let cases: Vec<&str> = probes
                .flat_map(|p| &p.cases)
                .map(|row| row.name.as_str())
                .collect();
            for (index, case) in entry.cases.iter().enumerate() {
                if !cases.contains(&case.as_str()) {
                    let message = format!("'{}' has no case '{case}'", entry.id);
                    push(
                        format!("cases[{index}]"),
                        message,
                        did_you_mean(case, &cases),
                    );
                }
            }
            if entry.reason.trim().is_empty() {
                push(
                    "reason".to_owned(),
                    "the reason is empty".to_owned(),
                    "say what the mesh does instead".to_owned(),
                );
            }
            if !entry.link.contains("://") {
                push(
                    "link".to_owned(),
                    format!("'{}' is not a URL", entry.link),
                    "write the URL of the report or the document".to_owned(),
                );
            }
        }
    }
    findings
}
