//! Why a container did not start.

use std::{io, time::Duration};

use super::{fields::FieldError, source::SourceKey};
use crate::{errors::chain, targets::local::ns::NoCapability};

/// How long until a container that could not be configured is retried, unless what it lacks
/// appears earlier.
pub(super) const CONFIG_RETRY: Duration = Duration::from_secs(10);

/// Why a container cannot be configured; shown as the message of `CreateContainerConfigError`.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConfigError {
    #[error("the pod has no spec")]
    NoSpec,
    #[error("variable {variable} has a valueFrom that this node does not support")]
    ValueFrom { variable: String },
    #[error(transparent)]
    Field(#[from] FieldError),
    #[error("couldn't find key {key} in {object}")]
    NoKey { key: String, object: SourceKey },
    #[error("{0} not found")]
    NotFound(SourceKey),
    #[error("invalid user or group ID {id}")]
    Id { id: i64 },
    #[error("container {container} has runAsNonRoot and would run as root; set runAsUser")]
    Root { container: String },
    #[error(transparent)]
    Capability(#[from] NoCapability),
    #[error("volumeMount {mount:?} does not name a volume of the pod")]
    NoVolume { mount: String },
    #[error("subPath {path:?}")]
    SubPath { path: String, source: io::Error },
    #[error("subPath {path:?} leads outside its volume")]
    SubPathLeaves { path: String },
}

/// Why a container did not start, and when to retry; `None` if the attempt counts as a run that
/// ended.
#[derive(Debug)]
pub(super) struct Refusal {
    pub reason: &'static str,
    pub message: String,
    pub retry: Option<Duration>,
}

impl From<ConfigError> for Refusal {
    fn from(error: ConfigError) -> Self {
        Self {
            reason: "CreateContainerConfigError",
            message: chain(&error),
            retry: Some(CONFIG_RETRY),
        }
    }
}
