//! Why a run of a probe says nothing.

use std::time::Duration;

use super::in_flight::InFlightError;
use crate::{
    errors::{Classified, ErrorClass},
    mesh::istio::istioctl::IstioctlError,
    observe::{data_plane::AskError, testbed::CallerError},
    run::namespace::{certificates::CertificateError, error::NamespaceError},
};

/// Our own side failed, or what was to be observed could not be: nothing is known of the mesh.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error(transparent)]
    Place(#[from] NamespaceError),
    /// A caller, a server or a collector of ours.
    #[error(transparent)]
    Testbed(#[from] CallerError),
    /// A proxy does not say what it knows.
    #[error(transparent)]
    Proxy(#[from] AskError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Istioctl(#[from] IstioctlError),
    #[error("this target has no istioctl to ask")]
    NoIstioctl,
    #[error("{probe} did not end within {} s", limit.as_secs())]
    Endless { probe: String, limit: Duration },
    #[error("the access log of {pods} has {found} of {calls} calls after {limit:?}")]
    Unlogged {
        pods: String,
        found: usize,
        calls: usize,
        limit: Duration,
    },
    /// The words of the client are those of its causes too.
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
    #[error("{0}: meshproof was built without the feature `browser`")]
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

/// Why a browser's calls say nothing.
#[cfg(feature = "browser")]
#[derive(Debug, thiserror::Error)]
pub enum BrowseError {
    #[error("`to: {to}`: a browser's probe needs workload:port")]
    NoPort { to: String },
    #[error("{probe}: one scenario's browser has one target: {first} and {second}")]
    OtherTarget {
        probe: String,
        first: String,
        second: String,
    },
    #[error("{probe}: metadata {key}: a browser sends a key once, with its values joined")]
    Metadata { probe: String, key: String },
    #[error(transparent)]
    Script(#[from] serde_json::Error),
    #[error(transparent)]
    Page(#[from] crate::browser::page::PageError),
    #[error(transparent)]
    Built(#[from] tokio::task::JoinError),
    #[error("no port of the loopback")]
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
