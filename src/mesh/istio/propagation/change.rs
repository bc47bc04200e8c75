//! A configuration change, its result once every proxy has it, and the errors that prevent that.

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

/// A proxy that has not shown the marker after this long is asked whether it rejected an update.
pub(super) const SUSPICIOUS: Duration = Duration::from_millis(700);

/// An error while applying a configuration or waiting until it is live.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PropagationError {
    #[error(transparent)]
    Object(Arc<ObjectError>),
    #[error(transparent)]
    Order(#[from] OrderError),
    #[error("istiod did not process {missing} within {limit:?}")]
    NotTaken { missing: String, limit: Duration },
    #[error("istiod did not accept {what} within {limit:?}: {message}")]
    NotAccepted {
        what: String,
        message: String,
        limit: Duration,
    },
    #[error("proxy {proxy} rejected the configuration (NACK): {message}")]
    Nack { proxy: String, message: String },
    #[error("proxy {proxy} did not show epoch {epoch} within {limit:?}; last seen: {last}")]
    NotLive {
        proxy: String,
        epoch: u64,
        limit: Duration,
        last: String,
    },
    #[error("cannot query istiod")]
    Istiod(#[source] Arc<HttpError>),
    #[error("the run is ending")]
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

/// A change to a namespace's configuration.
#[derive(Debug, Default)]
pub struct Change {
    pub namespace: String,
    /// Whether objects may belong to another namespace.
    pub outside: bool,
    pub apply: Vec<Value>,
    pub delete: Vec<Written>,
    /// The data planes that must receive it.
    pub planes: Vec<Plane>,
    /// Proxies whose connections show the marker in istiod's debug interface. Only needed for
    /// data planes whose contents are compared.
    pub references: Vec<Plane>,
}

impl Change {
    /// Where its objects may be written.
    pub fn home(&self) -> Home<'_> {
        Home {
            namespace: &self.namespace,
            outside: self.outside,
        }
    }
}

/// A change that has reached every proxy.
#[derive(Debug)]
pub struct Propagated {
    pub written: Vec<Written>,
    pub epoch: u64,
    /// Time from the API server's response until the last proxy had it, in milliseconds: the
    /// lower bound that Istio sets.
    pub push_ms: u64,
}
