//! Why a step did not come to its end.

use std::{error::Error, io, time::Duration};

use tokio::task::JoinError;

use crate::{
    cluster::object::ObjectError,
    errors::{Classified, ErrorClass, Trouble},
    mesh::istio::propagation::secrets::SecretError,
    observe::data_plane::AskError,
    plan::resolve::ResolveError,
    run::{
        namespace::{certificates::CertificateError, error::NamespaceError, maker::ScaleError},
        probe::error::ProbeError,
    },
    scenario::{file::LoadError, script::ScriptError},
    transport::http::HttpError,
    values::range::ValueError,
    yaml::YamlError,
};

/// Nothing is known of the mesh.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    #[error(transparent)]
    Place(#[from] NamespaceError),
    #[error(transparent)]
    Probe(#[from] ProbeError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Scale(#[from] ScaleError),
    #[error(transparent)]
    Restart(#[from] RestartError),
    #[error(transparent)]
    Versus(#[from] VersusError),
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    Value(#[from] ValueError),
    /// A script that no server takes.
    #[error(transparent)]
    Script(#[from] ScriptError),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A server of ours was told something, and does not answer.
    #[error(transparent)]
    Server(HttpError),
    /// A proxy does not say what it has counted.
    #[error(transparent)]
    Proxy(AskError),
    #[error("{stat} at {at} stood at {grown} of {wanted} after {within}")]
    Counter {
        stat: String,
        at: String,
        grown: u64,
        wanted: u64,
        within: String,
    },
    #[error("nothing called {0} was applied")]
    NotApplied(String),
    #[error("the file of {0} has neither a Deployment, a StatefulSet nor a ReplicaSet")]
    NoMaker(String),
    #[error("{0} does not run in the background")]
    NotInBackground(String),
    #[error("background probe")]
    Background(#[source] JoinError),
    /// Calls did not end within the caller's patience.
    #[error("{probe}: {words}")]
    GivenUp { probe: String, words: String },
    #[error("{cause} while probe {probe} had {within} to hold")]
    Slowed {
        cause: Trouble,
        probe: String,
        within: String,
    },
}

impl Classified for StepError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Place(error) => error.class(),
            Self::Probe(error) => error.class(),
            Self::Manifest(error) => error.class(),
            Self::Object(error) => error.class(),
            Self::Certificate(error) => error.class(),
            Self::Secret(error) => error.class(),
            Self::Scale(error) => error.class(),
            Self::Restart(error) => error.class(),
            Self::Versus(error) => error.class(),
            Self::Server(error) => error.class(),
            Self::Slowed { cause, .. } => cause.class,
            Self::Proxy(error) => error.class(),
            Self::Counter { .. } => ErrorClass::Mesh,
            Self::Json(_) | Self::Background(_) | Self::GivenUp { .. } => ErrorClass::Harness,
            Self::Resolve(_)
            | Self::Value(_)
            | Self::Script(_)
            | Self::NotApplied(_)
            | Self::NoMaker(_)
            | Self::NotInBackground(_) => ErrorClass::Input,
        }
    }
}

/// Why the objects of a manifest cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("no manifest {0}")]
    Missing(String),
    #[error("{file}")]
    Yaml { file: String, source: YamlError },
    /// An object lies where the scenario may not write.
    #[error("{file}:{line}")]
    NotAdmitted {
        file: String,
        line: usize,
        source: Box<ObjectError>,
    },
}

impl Classified for ManifestError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Input
    }
}

/// Why pods are not restarted.
#[derive(Debug, thiserror::Error)]
pub enum RestartError {
    /// The words of the client are those of its causes too.
    #[error("pod {pod}: {error}")]
    Pod {
        pod: String,
        error: Box<kube::Error>,
    },
    #[error("pod {pod} was not gone within {limit:?}: {last}")]
    Stays {
        pod: String,
        limit: Duration,
        last: String,
    },
    /// The words of the client are those of its causes too.
    #[error("istiod's pods: {0}")]
    Istiod(Box<kube::Error>),
    #[error("after {limit:?} istiod's pods are {pods}")]
    NoOther { limit: Duration, pods: String },
    #[error("{limit:?} after another istiod was ready: {last}")]
    Unconnected { limit: Duration, last: String },
}

impl Classified for RestartError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Pod { error, .. } | Self::Istiod(error) => error.class(),
            Self::Stays { .. } | Self::NoOther { .. } | Self::Unconnected { .. } => {
                ErrorClass::Mesh
            }
        }
    }
}

/// Why the cost of two probes cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum VersusError {
    #[error("probe {0} must be one run, without `vary`")]
    Several(String),
    #[error("pod {0} does not tell its processor time")]
    NoTime(String),
    #[error("cannot look at the proxy of {pod}")]
    Proxy { pod: String, source: LookError },
}

/// Why the run times in a proxy's container are not known.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The words of the client are those of its causes too.
    #[error("{0}")]
    Exec(Box<kube::Error>),
    #[error(transparent)]
    Read(#[from] io::Error),
    /// The command failed, or its end was not told.
    #[error(transparent)]
    End(Box<dyn Error + Send + Sync>),
    #[error("no run times")]
    Nothing,
}

impl Classified for VersusError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Several(_) => ErrorClass::Input,
            Self::NoTime(_) => ErrorClass::Harness,
            Self::Proxy { .. } => ErrorClass::Mesh,
        }
    }
}
