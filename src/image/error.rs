//! Why an image cannot be written as an archive, each with the way out.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::errors::{Classified, ErrorClass};

/// Why an image cannot be written as an archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A file or directory of this machine that the image shows cannot be read.
    #[error("image {image}: cannot read {path}", path = .path.display())]
    Unreadable {
        image: String,
        path: PathBuf,
        source: io::Error,
    },
    /// A socket, device or pipe, or a name that has a meaning of its own in a layer.
    #[error(
        "image {image}: {path} is {kind}, which no layer can hold; leave it out of the directory that the image shows", path = .path.display()
    )]
    NotForLayers {
        image: String,
        path: PathBuf,
        kind: &'static str,
    },
    /// A file grew or shrank between the writing of its size and of its contents.
    #[error("image {image}: {path} changed while it was read; write the image again", path = .path.display())]
    Changed { image: String, path: PathBuf },
    /// Two entries of the tree cannot both be: a file where a directory has to be, or the other way
    /// round.
    #[error("image {image}: {at} is in the way: it is {kind} already; give each path of the image once", at = .at.display())]
    InTheWay {
        image: String,
        at: PathBuf,
        kind: &'static str,
    },
    /// Links of the image lead round in a circle.
    #[error("image {image}: the links on the way to {at} lead round in a circle", at = .at.display())]
    Circle { image: String, at: PathBuf },
    /// The archive itself cannot be written.
    #[error("cannot write the image archive {path}: {source}; it needs a directory that may be written to, with room for a copy of every file of its images", path = .path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    /// The tar archive that an image stands on lacks a file.
    #[error("{archive} has no {name}; make it again with scripts/kind-offline", archive = .archive.display())]
    NoMember {
        archive: PathBuf,
        name: &'static str,
    },
    /// A file of kind's has not what is looked for in it.
    #[error("{path} has no {what}; the pinned kind and this code do not fit", path = .path.display())]
    NotThere { path: PathBuf, what: &'static str },
    /// A program that is asked for names failed.
    #[error("{program} failed: {said}; prepare the tool chain again (meshproof toolchain prepare --kind)", program = .program.display())]
    Command { program: PathBuf, said: String },
}

impl Classified for ArchiveError {
    fn class(&self) -> ErrorClass {
        match self {
            // What the image shows is as its author made it.
            Self::NotForLayers { .. } | Self::InTheWay { .. } | Self::Circle { .. } => {
                ErrorClass::Input
            }
            Self::Unreadable { .. }
            | Self::Changed { .. }
            | Self::Unwritable { .. }
            | Self::NoMember { .. }
            | Self::Command { .. } => ErrorClass::Machine,
            // The pinned kind is our choice.
            Self::NotThere { .. } => ErrorClass::Harness,
        }
    }
}

/// `path` is the archive.
pub(super) fn unwritable(path: &Path, source: io::Error) -> ArchiveError {
    ArchiveError::Unwritable {
        path: path.to_owned(),
        source,
    }
}
