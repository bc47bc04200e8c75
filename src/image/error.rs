//! Errors of writing images as archives, with their remedies.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::errors::{Classified, ErrorClass};

/// An error writing an image as an archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A file or directory of this machine that belongs to the image cannot be read.
    #[error("image {image}: cannot read {path}", path = .path.display())]
    Unreadable {
        image: String,
        path: PathBuf,
        source: io::Error,
    },
    /// A socket, device or pipe, or a name with a special meaning in a layer.
    #[error(
        "image {image}: {path} is {kind}, which a layer cannot contain; remove it from the image's directory", path = .path.display()
    )]
    NotForLayers {
        image: String,
        path: PathBuf,
        kind: &'static str,
    },
    /// A file changed its size while it was written to the archive.
    #[error("image {image}: {path} changed while it was read; write the image again", path = .path.display())]
    Changed { image: String, path: PathBuf },
    /// Two entries of the tree conflict: a file where a directory must be, or vice versa.
    #[error("image {image}: {at} is in the way: it is already {kind}; name each path of the image once", at = .at.display())]
    InTheWay {
        image: String,
        at: PathBuf,
        kind: &'static str,
    },
    /// Symbolic links of the image form a loop.
    #[error("image {image}: the symbolic links in {at} form a loop", at = .at.display())]
    Circle { image: String, at: PathBuf },
    /// The archive itself cannot be written.
    #[error("cannot write the image archive {path}: {source}; it needs a writable directory with space for a copy of every file of its images", path = .path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    /// The tar archive that an image is based on lacks a file.
    #[error("{archive} has no {name}; rebuild it with scripts/kind-offline", archive = .archive.display())]
    NoMember {
        archive: PathBuf,
        name: &'static str,
    },
    /// A source file of kind lacks expected content.
    #[error("{path} has no {what}; this build of meshproof does not match its pinned kind", path = .path.display())]
    NotThere { path: PathBuf, what: &'static str },
    /// A program that lists image names failed.
    #[error("{program} failed: {answer}; prepare the tool chain again (meshproof toolchain prepare --kind)", program = .program.display())]
    Command { program: PathBuf, answer: String },
}

impl Classified for ArchiveError {
    fn class(&self) -> ErrorClass {
        match self {
            // The image's contents are the user's.
            Self::NotForLayers { .. } | Self::InTheWay { .. } | Self::Circle { .. } => {
                ErrorClass::Input
            }
            Self::Unreadable { .. }
            | Self::Changed { .. }
            | Self::Unwritable { .. }
            | Self::NoMember { .. }
            | Self::Command { .. } => ErrorClass::Machine,
            // meshproof pins kind.
            Self::NotThere { .. } => ErrorClass::Harness,
        }
    }
}

/// An error writing the archive `path`.
pub(super) fn unwritable(path: &Path, source: io::Error) -> ArchiveError {
    ArchiveError::Unwritable {
        path: path.to_owned(),
        source,
    }
}
