//! Why a container did not start.

use std::time::Duration;

use super::env::ConfigError;

/// How long until a container that could not be configured is tried again, unless what it lacks appears before.
pub(super) const CONFIG_RETRY: Duration = Duration::from_secs(10);

/// Why a container did not start, and when to try again; `None` when the try counts as a run that ended.
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
            message: error.0,
            retry: Some(CONFIG_RETRY),
        }
    }
}
