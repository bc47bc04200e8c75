//! Errors of steps.

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

/// An error of a step. The claim cannot be judged.
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
    /// A script that no server accepts.
    #[error(transparent)]
    Script(#[from] ScriptError),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A server of the test bed does not answer a control request.
    #[error(transparent)]
    Server(HttpError),
    /// A proxy does not return its counters.
    #[error(transparent)]
    Proxy(AskError),
    #[error("{stat} at {at} reached only {grown} of {expected} within {within}")]
    Counter {
        stat: String,
        at: String,
        grown: u64,
        expected: u64,
        within: String,
    },
    #[error("nothing named {0} was applied")]
    NotApplied(String),
    #[error("the workload file of {0} contains no Deployment, StatefulSet or ReplicaSet")]
    NoMaker(String),
    #[error("probe {0} is not running in the background")]
    NotInBackground(String),
    #[error("the task of a background probe failed")]
    Background(#[source] JoinError),
    /// Calls did not end within the caller's patience.
    #[error("{probe}: {message}")]
    GivenUp { probe: String, message: String },
    #[error("{cause} during the {within} in which probe {probe} had to hold")]
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

/// An error reading the objects of a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("manifest {0} does not exist")]
    Missing(String),
    #[error("{file}")]
    Yaml { file: String, source: YamlError },
    /// The scenario may not write an object.
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

/// An error restarting pods.
#[derive(Debug, thiserror::Error)]
pub enum RestartError {
    /// The text of a client error includes its causes.
    #[error("cannot delete pod {pod}: {error}")]
    Pod {
        pod: String,
        error: Box<kube::Error>,
    },
    #[error("pod {pod} still exists after {limit:?}: {last}")]
    Stays {
        pod: String,
        limit: Duration,
        last: String,
    },
    /// The text of a client error includes its causes.
    #[error("cannot list or delete istiod's pods: {0}")]
    Istiod(Box<kube::Error>),
    #[error("istiod was not replaced within {limit:?}: its pods are {pods}")]
    NoOther { limit: Duration, pods: String },
    #[error("proxies did not connect to the new istiod within {limit:?}: {last}")]
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

/// An error comparing the cost of two probes.
#[derive(Debug, thiserror::Error)]
pub enum VersusError {
    #[error("probe {0} must be a single run, without `cases`")]
    Several(String),
    #[error("pod {0} does not report its processor time")]
    NoTime(String),
    #[error("cannot read the processor time of the proxy in pod {pod}")]
    Proxy { pod: String, source: LookError },
}

/// An error reading the run times in a proxy's container.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The text of a client error includes its causes.
    #[error("{0}")]
    Exec(Box<kube::Error>),
    #[error(transparent)]
    Read(#[from] io::Error),
    /// The command failed, or its end was not reported.
    #[error(transparent)]
    End(Box<dyn Error + Send + Sync>),
    #[error("the command printed no run times")]
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
