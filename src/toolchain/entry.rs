//! A complete entry of the cache: its files, with their checksums in a manifest.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::error::ToolchainError;
use crate::errors::{Classified, ErrorClass};
use crate::text::hex;

/// Name of the manifest inside an entry.
const MANIFEST: &str = "manifest.json";

/// Why an entry is damaged.
#[derive(Debug, thiserror::Error)]
pub(super) enum Damage {
    #[error("{file}")]
    Unreadable { file: String, source: io::Error },
    #[error("{MANIFEST}")]
    Manifest(#[from] serde_json::Error),
    #[error("{file} has {bytes} bytes instead of {was}")]
    Size { file: String, bytes: u64, was: u64 },
    #[error("{file} does not match its recorded SHA-256")]
    Changed { file: String },
}

impl Classified for Damage {
    fn class(&self) -> ErrorClass {
        ErrorClass::Machine
    }
}

/// Size and build time of one component.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Built {
    /// File name of the binary.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Duration of its build or download in seconds.
    pub seconds: f64,
}

/// The contents of an entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub schema: u32,
    /// Versions by component name as shown in reports.
    pub versions: BTreeMap<String, String>,
    pub built: Vec<Built>,
    /// By path inside the entry.
    pub files: BTreeMap<PathBuf, Digested>,
}

/// A file as it was when the entry was completed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Digested {
    pub bytes: u64,
    pub sha256: String,
    /// Modification time in nanoseconds since 1970. If time and size are unchanged, the file need
    /// not be read again.
    pub modified: i128,
}

impl Manifest {
    /// Describes every file below `root` and writes the manifest there.
    pub fn write(
        root: &Path,
        versions: BTreeMap<String, String>,
        built: Vec<Built>,
    ) -> Result<Self, ToolchainError> {
        let mut files = BTreeMap::new();
        digest_all(root, Path::new(""), &mut files)?;
        let manifest = Self {
            schema: 1,
            versions,
            built,
            files,
        };
        let path = root.join(MANIFEST);
        let text = serde_json::to_vec_pretty(&manifest).map_err(io::Error::other);
        let written = text
            .and_then(|text| fs::write(&path, text))
            .and_then(|()| File::open(&path)?.sync_all());
        written.map_err(|error| ToolchainError::io("writing", path, error))?;
        Ok(manifest)
    }

    /// Reads the entry at `root` and checks its files against the manifest: the size, and the
    /// SHA-256 if the modification time has changed.
    ///
    /// # Errors
    /// The first [`Damage`].
    pub fn verify(root: &Path) -> Result<Self, Damage> {
        let unreadable = |file: &str| {
            let file = file.to_owned();
            move |source| Damage::Unreadable { file, source }
        };
        let text = fs::read(root.join(MANIFEST)).map_err(unreadable(MANIFEST))?;
        let manifest: Self = serde_json::from_slice(&text)?;
        for (path, was) in &manifest.files {
            let file = path.display().to_string();
            let meta = fs::metadata(root.join(path)).map_err(unreadable(&file))?;
            if meta.len() != was.bytes {
                let (bytes, was) = (meta.len(), was.bytes);
                return Err(Damage::Size { file, bytes, was });
            }
            if modified(&meta) != was.modified {
                let now = digest(&root.join(path)).map_err(unreadable(&file))?;
                if now != was.sha256 {
                    return Err(Damage::Changed { file });
                }
            }
        }
        Ok(manifest)
    }

    /// Total size of the files in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|file| file.bytes).sum()
    }
}

fn modified(meta: &fs::Metadata) -> i128 {
    i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec())
}

fn digest_all(
    root: &Path,
    at: &Path,
    into: &mut BTreeMap<PathBuf, Digested>,
) -> Result<(), ToolchainError> {
    let dir = root.join(at);
    let reading = |error| ToolchainError::io("reading", &dir, error);
    for child in fs::read_dir(&dir).map_err(reading)? {
        let child = child.map_err(reading)?;
        let at = at.join(child.file_name());
        let meta = child.metadata().map_err(reading)?;
        if meta.is_dir() {
            digest_all(root, &at, into)?;
        } else {
            let sha256 = digest(&child.path()).map_err(reading)?;
            into.insert(
                at,
                Digested {
                    bytes: meta.len(),
                    sha256,
                    modified: modified(&meta),
                },
            );
        }
    }
    Ok(())
}

/// SHA-256 of a file in hexadecimal.
fn digest(path: &Path) -> io::Result<String> {
    let (mut file, mut hash, mut buffer) = (File::open(path)?, Sha256::new(), vec![0; 1 << 18]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}

/// Copies a file or a directory tree. The copy gets default permissions: Go's module cache is
/// read-only.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        for child in fs::read_dir(from)? {
            let child = child?;
            copy(&child.path(), &to.join(child.file_name()))?;
        }
        return Ok(());
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    io::copy(&mut File::open(from)?, &mut File::create(to)?).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors::chain;

    fn entry() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("bin")).unwrap();
        fs::write(dir.path().join("bin/a"), "program").unwrap();
        Manifest::write(dir.path(), BTreeMap::new(), Vec::new()).unwrap();
        dir
    }

    #[test]
    fn an_untouched_entry_is_good() {
        let dir = entry();
        assert_eq!(Manifest::verify(dir.path()).unwrap().bytes(), 7);
    }

    #[test]
    fn a_new_time_alone_is_no_damage() {
        let dir = entry();
        fs::write(dir.path().join("bin/a"), "program").unwrap();
        assert!(Manifest::verify(dir.path()).is_ok());
    }

    #[rstest::rstest]
    #[case::shorter(Some("pro"), "3 bytes instead of 7")]
    #[case::other_bytes(Some("PROGRAM"), "recorded SHA-256")]
    #[case::gone(None, "bin/a: No such file")]
    fn damage_is_named(#[case] now: Option<&str>, #[case] answer: &str) {
        let (dir, path) = (entry(), "bin/a");
        match now {
            Some(text) => fs::write(dir.path().join(path), text).unwrap(),
            None => fs::remove_file(dir.path().join(path)).unwrap(),
        }
        let why = chain(&Manifest::verify(dir.path()).unwrap_err());
        assert!(why.contains(answer), "{why}");
    }

    #[test]
    fn an_entry_without_a_readable_manifest_is_damaged() {
        let dir = entry();
        fs::write(dir.path().join(MANIFEST), "{").unwrap();
        let why = Manifest::verify(dir.path()).unwrap_err().to_string();
        assert_eq!(why, MANIFEST);
    }
}
