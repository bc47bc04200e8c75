//! A change of configuration, what it becomes when every proxy has it, and why it may not.

use std::{sync::Arc, time::Duration};

use serde_json::Value;

use super::order::OrderError;
use crate::{
    cluster::{
        object::{ObjectError, Written},
        writer::Home,
    },
    errors::{Classified, ErrorClass},
    observe::data_plane::Plane,
    transport::http::HttpError,
};

/// After this long a proxy that does not show the marker is asked whether it rejected something.
pub(super) const SUSPICIOUS: Duration = Duration::from_millis(700);

/// Why a configuration is not known to be live.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PropagationError {
    #[error(transparent)]
    Object(Arc<ObjectError>),
    #[error(transparent)]
    Order(#[from] OrderError),
    #[error("istiod had not taken {missing} after {limit:?}")]
    NotTaken { missing: String, limit: Duration },
    #[error("istiod did not accept {what} within {limit:?}: {words}")]
    NotAccepted {
        what: String,
        words: String,
        limit: Duration,
    },
    #[error("proxy {proxy} rejected the configuration (NACK): {words}")]
    Nack { proxy: String, words: String },
    #[error("proxy {proxy} did not show epoch {epoch} within {limit:?}; last seen: {last}")]
    NotLive {
        proxy: String,
        epoch: u64,
        limit: Duration,
        last: String,
    },
    #[error("cannot ask istiod")]
    Istiod(#[source] Arc<HttpError>),
    #[error("the run is being ended")]
    Ended,
}

impl Classified for PropagationError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Object(error) => error.class(),
            Self::Order(error) => error.class(),
            Self::NotTaken { .. }
            | Self::NotAccepted { .. }
            | Self::Nack { .. }
            | Self::NotLive { .. }
            | Self::Istiod(_) => ErrorClass::Mesh,
            Self::Ended => ErrorClass::Harness,
        }
    }
}

/// One change of a namespace's configuration.
#[derive(Debug, Default)]
pub struct Change {
    pub namespace: String,
    /// Objects may lie outside that namespace.
    pub outside: bool,
    pub apply: Vec<Value>,
    pub delete: Vec<Written>,
    /// Every data plane that must have it.
    pub planes: Vec<Plane>,
    /// Proxies whose connections show the marker in the debug interface of their control planes;
    /// only needed for those whose contents are compared.
    pub references: Vec<Plane>,
}

impl Change {
    /// Where its objects may go.
    pub fn home(&self) -> Home<'_> {
        Home {
            namespace: &self.namespace,
            outside: self.outside,
        }
    }
}

/// A change that every proxy has.
#[derive(Debug)]
pub struct Propagated {
    pub written: Vec<Written>,
    pub epoch: u64,
    /// From the API server's answer to the last proxy, in milliseconds: the floor that Istio sets.
    pub push_ms: u64,
}
