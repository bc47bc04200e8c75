//! Errors of kind clusters.

use std::{io, path::PathBuf, time::Duration};

use tokio::task::JoinError;

use crate::{
    aux_service::AuxServiceError,
    cluster::{client::ClientError, object::ObjectError},
    errors::{Classified, ErrorClass},
    image::ArchiveError,
    mesh::istio::{discovery::DiscoveryError, install::InstallError, versions::VersionsError},
    private_dir::NotPrivate,
};

/// An error creating, using or deleting a kind cluster, with its remedy.
#[derive(Debug, thiserror::Error)]
pub enum KindError {
    #[error(
        "{asked} can't be honoured: the kind cluster {name} {made}; leave it out, take another --name, or remove that cluster first (meshproof target down --name {name} --target kind)"
    )]
    MadeOf {
        name: String,
        asked: String,
        made: String,
    },
    #[error(
        "`{0}` not found in PATH; `meshproof doctor --target kind` shows what is missing and how to get it"
    )]
    NoProgram(PathBuf),
    #[error("{what} did not finish within {limit:?}; its last output:\n{last}")]
    Slow {
        what: String,
        limit: Duration,
        last: String,
    },
    /// kind or docker failed. `output` is its output, `cause` meshproof's explanation of it.
    #[error("{what} failed: {cause}\n{output}")]
    Failed {
        what: String,
        cause: String,
        output: String,
    },
    #[error(
        "invalid kind cluster name {0:?}: use lower-case letters, digits, dots and dashes, and begin and end with a letter or digit"
    )]
    Name(String),
    #[error("--nodes {given}: neither single nor multi, and not a readable file")]
    Nodes { given: String, source: io::Error },
    #[error("--nodes {}: not a kind configuration: {why}", .path.display())]
    NodesFile { path: PathBuf, why: String },
    #[error("--image-archive {}", .path.display())]
    Archive { path: PathBuf, source: io::Error },
    #[error("cannot write {}", .path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Directory(#[from] NotPrivate),
    #[error(
        "a kind cluster named {name} is already up; use it (run --target kind --name {name}) or remove it: meshproof target down --name {name}"
    )]
    AlreadyUp { name: String },
    #[error(
        "the creation of the kind cluster {name} was interrupted or is still running; remove its remains: meshproof target down --name {name}"
    )]
    HalfDone { name: String },
    #[error(
        "no kind cluster named {name} is up; start it: meshproof target up --target kind --name {name}"
    )]
    NotUp { name: String },
    #[error("cannot use the cluster's API server")]
    Unusable(#[from] Unusable),
    #[error("nodes not ready within {limit:?}: {last}")]
    NodesNotReady { limit: Duration, last: String },
    #[error("--registry-mirror")]
    Mirror(#[source] AuxServiceError),
    #[error("cannot write the test bed's image")]
    Image(#[from] ArchiveError),
    #[error(transparent)]
    Install(#[from] InstallError),
    #[error(transparent)]
    Object(#[from] ObjectError),
}

impl Classified for KindError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::MadeOf { .. }
            | Self::Name(_)
            | Self::Nodes { .. }
            | Self::NodesFile { .. }
            | Self::Archive { .. }
            | Self::AlreadyUp { .. }
            | Self::HalfDone { .. }
            | Self::NotUp { .. } => ErrorClass::Input,
            Self::NoProgram(_) | Self::Slow { .. } | Self::Failed { .. } | Self::Write { .. } => {
                ErrorClass::Machine
            }
            Self::Directory(error) => error.class(),
            Self::Unusable(error) => error.class(),
            Self::NodesNotReady { .. } => ErrorClass::Mesh,
            Self::Install(error) => error.class(),
            Self::Mirror(error) => error.class(),
            Self::Image(error) => error.class(),
            Self::Object(error) => error.class(),
        }
    }
}

/// Why the API server of a running cluster cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It rejects requests or does not respond.
    #[error(transparent)]
    Api(Box<kube::Error>),
    #[error(transparent)]
    Mesh(#[from] DiscoveryError),
    #[error(transparent)]
    Versions(#[from] VersionsError),
    /// The task that writes the images panicked.
    #[error(transparent)]
    Task(#[from] JoinError),
}

impl Classified for Unusable {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Client(error) => error.class(),
            Self::Api(error) => error.class(),
            Self::Mesh(error) => error.class(),
            Self::Versions(error) => error.class(),
            Self::Task(_) => ErrorClass::Harness,
        }
    }
}
