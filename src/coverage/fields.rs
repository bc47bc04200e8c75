//! The fields that istiod sent for the hops that handled calls, from the evidence of a run (`hop`
//! lines).

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    errors::{Classified, ErrorClass},
    observe::data_plane::hop::Part,
};

/// An error reading fields from a report directory.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    #[error("{}", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "{dir} has no recorded configuration: create it with `meshproof run --report-dir {dir}`", dir = .dir.display()
    )]
    NoHop { dir: PathBuf },
}

impl Classified for EvidenceError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Input
    }
}

/// The proxy that has the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hand {
    Client,
    Server,
    Gateway,
}

impl Hand {
    /// For the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client's sidecar",
            Self::Server => "server's sidecar",
            Self::Gateway => "gateway",
        }
    }
}

/// Fields by part, each with the proxies that had it.
pub type Written = BTreeMap<(Part, String), BTreeSet<Hand>>;

const PARTS: [Part; 7] = [
    Part::Listener,
    Part::FilterChain,
    Part::ConnectionManager,
    Part::RouteConfiguration,
    Part::VirtualHost,
    Part::Route,
    Part::Cluster,
];

/// Reads the evidence folder of a report directory.
///
/// # Errors
/// [`EvidenceError`]: a file cannot be read, or none of them has a hop.
pub fn written(dir: &Path) -> Result<Written, EvidenceError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| EvidenceError::Io { path, source }
    };
    let mut found = Written::new();
    let mut folders = vec![dir.join("evidence")];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).map_err(io(&folder))?;
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "jsonl") {
                let text = std::fs::read_to_string(&path).map_err(io(&path))?;
                text.lines().for_each(|line| hop(line, &mut found));
            }
        }
    }
    if found.is_empty() {
        let dir = dir.to_owned();
        return Err(EvidenceError::NoHop { dir });
    }
    Ok(found)
}

fn hop(line: &str, found: &mut Written) {
    let Ok(line) = serde_json::from_str::<Value>(line) else {
        return;
    };
    let Some(parts) = line.pointer("/hop/parts") else {
        return;
    };
    let cluster = line.pointer("/hop/cluster").and_then(Value::as_str);
    let table = parts.pointer("/route-configuration/0/name");
    let table = table.and_then(Value::as_str).unwrap_or_default();
    let hand = match cluster.unwrap_or_default() {
        name if name.starts_with("inbound|") => Hand::Server,
        _ if table.starts_with("http.") || table.starts_with("https.") => Hand::Gateway,
        _ => Hand::Client,
    };
    for part in PARTS {
        for value in parts[part.as_str()].as_array().into_iter().flatten() {
            let mut paths = BTreeSet::new();
            flatten(part, value, "", &mut paths);
            for path in paths {
                found.entry((part, path)).or_default().insert(hand);
            }
        }
    }
}

/// Returns whether the field contains another part, which is listed separately.
fn is_another_part(part: Part, path: &str) -> bool {
    match part {
        Part::Listener => path.starts_with("/filter_chains") || path == "/default_filter_chain",
        Part::FilterChain => path.ends_with("http_connection_manager/typed_config"),
        Part::ConnectionManager => path.starts_with("/route_config"),
        Part::RouteConfiguration => path == "/virtual_hosts",
        Part::VirtualHost => path == "/routes",
        Part::Route | Part::Cluster => false,
    }
}

/// Paths of the leaves; elements of lists are named by their `name`, else `*`.
pub fn flatten(part: Part, value: &Value, path: &str, found: &mut BTreeSet<String>) {
    if is_another_part(part, path) {
        return;
    }
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, field) in fields {
                let key = key.replace('~', "~0").replace('/', "~1");
                flatten(part, field, &format!("{path}/{key}"), found);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for item in items {
                let name = item["name"].as_str().unwrap_or("*");
                flatten(part, item, &format!("{path}/{name}"), found);
            }
        }
        _ => {
            found.insert(path.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_are_named_and_parts_are_told_once() {
        let line = r#"{"hop": {"cluster": "inbound|1||", "parts": {
            "route": [{"route": {"timeout": "0s", "list": [{"name": "a", "x": 1}, {"y": []}]}}],
            "virtual-host": [{"name": "v", "routes": [{"name": "r"}]}]}}}"#;
        let mut found = Written::new();
        hop(&line.replace('\n', ""), &mut found);
        let names: Vec<String> = found
            .keys()
            .map(|(part, path)| format!("{}{path}", part.as_str()))
            .collect();
        assert_eq!(
            names,
            [
                "virtual-host/name",
                "route/route/list/*/y",
                "route/route/list/a/name",
                "route/route/list/a/x",
                "route/route/timeout"
            ]
        );
        assert!(found.values().all(|hands| hands.contains(&Hand::Server)));
    }
}
