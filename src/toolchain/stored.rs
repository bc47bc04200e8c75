//! All sets in the cache: which of them this build can use, and the removal of the others.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    cache::Cache,
    error::ToolchainError,
    grpcio,
    pins::{EnvoyVersion, Recipe},
    prepare::{CONTROLPLANE, INTEROP, KIND, REGISTRY, envoy_set, module_set},
};

/// Whether and why a set is in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "use", rename_all = "kebab-case")]
pub enum Use {
    /// This build uses it, by default or with `--envoy`.
    Pinned,
    /// A running local target uses its programs.
    Running,
    /// A process is building it.
    Busy { holder: String },
    /// It is for another version of meshproof, Go or Envoy.
    Unused,
}

/// A set in the cache, complete or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stored {
    pub name: String,
    pub path: PathBuf,
    /// Size of its files in bytes.
    pub bytes: u64,
    #[serde(flatten)]
    pub used: Use,
}

/// All sets in the cache, sorted by name. `running`: paths of programs that local targets run now.
///
/// # Errors
/// The cache cannot be read, or Go is missing and no set can be identified without it.
pub fn stored(cache: &Cache, running: &[PathBuf]) -> Result<Vec<Stored>, ToolchainError> {
    let mut pinned: Vec<String> = EnvoyVersion::ALL.map(envoy_set).into();
    pinned.push(module_set(CONTROLPLANE, &Recipe::pinned(), cache)?);
    pinned.extend(grpcio::interpreter_version().map(|version| grpcio::set(&version)));
    pinned.push(module_set(INTEROP, &Recipe::interop(), cache)?);
    // These two are optional.
    pinned.extend(module_set(KIND, &Recipe::kind(), cache));
    pinned.extend(module_set(REGISTRY, &Recipe::registry(), cache));
    stored_beside(cache, &pinned, running)
}

fn stored_beside(
    cache: &Cache,
    pinned: &[String],
    running: &[PathBuf],
) -> Result<Vec<Stored>, ToolchainError> {
    let reading = |error| ToolchainError::io("reading", cache.root(), error);
    let mut all = Vec::new();
    let entries = match fs::read_dir(cache.root()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(all),
        other => other.map_err(reading)?,
    };
    for entry in entries {
        let entry = entry.map_err(reading)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = name.split('-').next().unwrap_or_default();
        let is_set = [CONTROLPLANE, INTEROP, KIND, REGISTRY, "envoy", "grpcio"].contains(&kind);
        if !is_set || !entry.file_type().map_err(reading)?.is_dir() {
            continue;
        }
        let (path, set) = (entry.path(), name.trim_end_matches(".partial"));
        let used = if let Some(holder) = cache.held_by(set) {
            Use::Busy { holder }
        } else if running.iter().any(|program| program.starts_with(&path)) {
            Use::Running
        } else if pinned.iter().any(|pinned| pinned == set) {
            Use::Pinned
        } else {
            Use::Unused
        };
        let bytes = size(&path);
        all.push(Stored {
            name,
            path,
            bytes,
            used,
        });
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// Total size of the files below a directory; files that vanish meanwhile are skipped.
fn size(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => size(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

/// Removes all unused sets, except those that another process starts to build meanwhile. Returns
/// the removed sets.
///
/// # Errors
/// As [`stored`], or a set cannot be removed.
pub fn prune(cache: &Cache, running: &[PathBuf]) -> Result<Vec<Stored>, ToolchainError> {
    let unused = stored(cache, running)?
        .into_iter()
        .filter(|set| set.used == Use::Unused)
        .collect();
    remove(cache, unused)
}

fn remove(cache: &Cache, unused: Vec<Stored>) -> Result<Vec<Stored>, ToolchainError> {
    let mut removed = Vec::new();
    for set in unused {
        let Some(_lock) = cache.try_lock(set.name.trim_end_matches(".partial")) else {
            continue;
        };
        // Renamed first: an interrupted removal must not look like a set.
        let doomed = cache.root().join(format!("{}.removed", set.name));
        let gone = fs::rename(&set.path, &doomed).and_then(|()| fs::remove_dir_all(&doomed));
        gone.map_err(|error| ToolchainError::io("removing", &set.path, error))?;
        removed.push(set);
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_uses_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path());
        let names = [
            "controlplane-busy",
            "controlplane-old",
            "controlplane-old.partial",
            "controlplane-pinned",
            "envoy-running",
            "other",
        ];
        for name in names {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("program"), "12345").unwrap();
        }
        let held = cache.try_lock("controlplane-busy").unwrap();
        let pinned = ["controlplane-pinned".to_owned()];
        let running = [dir.path().join("envoy-running/program")];
        let all = stored_beside(&cache, &pinned, &running).unwrap();
        let uses: Vec<_> = all
            .iter()
            .map(|set| (set.name.as_str(), &set.used))
            .collect();
        assert!(matches!(uses[0].1, Use::Busy { .. }), "{uses:?}");
        assert_eq!(
            uses[1..],
            [
                ("controlplane-old", &Use::Unused),
                ("controlplane-old.partial", &Use::Unused),
                ("controlplane-pinned", &Use::Pinned),
                ("envoy-running", &Use::Running),
            ]
        );
        assert!(all.iter().all(|set| set.bytes == 5), "{all:?}");
        // locked between listing and removal
        let late = cache.try_lock("controlplane-old").unwrap();
        let unused = |all: &[Stored]| -> Vec<Stored> {
            let unused = all.iter().filter(|set| set.used == Use::Unused);
            unused.cloned().collect()
        };
        assert_eq!(remove(&cache, unused(&all)).unwrap(), []);
        drop(late);
        let removed = remove(&cache, unused(&all)).unwrap();
        assert_eq!(removed, unused(&all));
        for name in names {
            let there = dir.path().join(name).exists();
            assert_eq!(there, !name.starts_with("controlplane-old"), "{name}");
        }
        drop(held);
    }
}
