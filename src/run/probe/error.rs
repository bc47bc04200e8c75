//! Errors of a run of a probe.

use std::time::Duration;

use super::in_flight::InFlightError;
use crate::{
    errors::{Classified, ErrorClass},
    mesh::istio::istioctl::IstioctlError,
    observe::{data_plane::AskError, testbed::CallerError},
    run::namespace::{certificates::CertificateError, error::NamespaceError},
};

/// An error of a run of a probe: meshproof failed, or something could not be observed. Nothing is
/// known about the mesh.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error(transparent)]
    Place(#[from] NamespaceError),
    /// An error of a caller, server or collector of the test bed.
    #[error(transparent)]
    Testbed(#[from] CallerError),
    /// A proxy does not answer.
    #[error(transparent)]
    Proxy(#[from] AskError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Istioctl(#[from] IstioctlError),
    #[error("this target has no istioctl")]
    NoIstioctl,
    #[error("probe {probe} did not end within {} s", limit.as_secs())]
    Endless { probe: String, limit: Duration },
    #[error("the access logs of {pods} contain {found} of {calls} calls after {limit:?}")]
    Unlogged {
        pods: String,
        found: usize,
        calls: usize,
        limit: Duration,
    },
    /// The text of a client error includes its causes.
    #[error("cannot read the log of {namespace}/{pod}: {error}")]
    Log {
        namespace: String,
        pod: String,
        error: Box<kube::Error>,
    },
    #[error(transparent)]
    Busy(#[from] InFlightError),
    #[error("'least-request'")]
    LeastRequest(#[source] InFlightError),
    #[cfg(feature = "browser")]
    #[error(transparent)]
    Browse(#[from] BrowseError),
    #[error("probe {0}: meshproof was built without the feature `browser`")]
    NoBrowser(String),
}

impl Classified for ProbeError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Place(error) => error.class(),
            Self::Testbed(error) => error.class(),
            Self::Certificate(error) => error.class(),
            Self::Istioctl(error) => error.class(),
            Self::Busy(error) | Self::LeastRequest(error) => error.class(),
            Self::Log { error, .. } => error.class(),
            #[cfg(feature = "browser")]
            Self::Browse(error) => error.class(),
            Self::Proxy(error) => error.class(),
            Self::Unlogged { .. } => ErrorClass::Mesh,
            Self::NoIstioctl | Self::NoBrowser(_) => ErrorClass::Machine,
            Self::Endless { .. } => ErrorClass::Harness,
        }
    }
}

/// An error of a browser probe.
#[cfg(feature = "browser")]
#[derive(Debug, thiserror::Error)]
pub enum BrowseError {
    #[error("`to: {to}`: a browser probe needs workload:port")]
    NoPort { to: String },
    #[error(
        "{probe}: all browser probes of a scenario must have the same target: {first} and {second}"
    )]
    OtherTarget {
        probe: String,
        first: String,
        second: String,
    },
    #[error(
        "{probe}: metadata {key} must have one value: a browser sends a key once, with its values joined"
    )]
    Metadata { probe: String, key: String },
    #[error(transparent)]
    Script(#[from] serde_json::Error),
    #[error(transparent)]
    Page(#[from] crate::browser::page::PageError),
    #[error(transparent)]
    Built(#[from] tokio::task::JoinError),
    #[error("cannot listen on the loopback interface")]
    Listen(#[source] std::io::Error),
    #[error(transparent)]
    Chromium(#[from] crate::browser::chrome::ChromeError),
}

#[cfg(feature = "browser")]
impl Classified for BrowseError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::NoPort { .. } | Self::OtherTarget { .. } | Self::Metadata { .. } => {
                ErrorClass::Input
            }
            Self::Script(_) | Self::Built(_) => ErrorClass::Harness,
            Self::Page(error) => error.class(),
            Self::Chromium(error) => error.class(),
            Self::Listen(_) => ErrorClass::Machine,
        }
    }
}
