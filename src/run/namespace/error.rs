//! Errors of a scenario's namespace.

use crate::{
    cluster::object::ObjectError,
    errors::{Classified, ErrorClass},
    mesh::istio::propagation::{change::PropagationError, endpoints::EndpointsError},
    verdict::outcome::{Check, CheckResult},
};

/// An error creating or changing the namespace of a scenario.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error(
        "the pods of {workload} are not in the expected state ({expected} ready) after {seconds:.1} s:\n{last}"
    )]
    Pods {
        workload: String,
        expected: u32,
        seconds: f64,
        last: String,
    },
    #[error(transparent)]
    Live(#[from] PropagationError),
    #[error(transparent)]
    Endpoints(Box<EndpointsError>),
    #[error(transparent)]
    Reach(#[from] ReachError),
    #[error("{what} is not complete after {seconds:.1} s: {last}")]
    Applied {
        what: String,
        seconds: f64,
        last: String,
    },
    #[error("the scenario has no workload {0}")]
    NoWorkload(String),
    #[error("no pod of {workload} is ready: {seen}")]
    NoPod { workload: String, seen: String },
}

impl From<EndpointsError> for NamespaceError {
    fn from(error: EndpointsError) -> Self {
        Self::Endpoints(Box::new(error))
    }
}

impl Classified for NamespaceError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Object(error) => error.class(),
            Self::Live(error) => error.class(),
            Self::Endpoints(error) => error.class(),
            Self::Reach(error) => error.class(),
            Self::Pods { .. } | Self::Applied { .. } | Self::NoPod { .. } => ErrorClass::Mesh,
            Self::NoWorkload(_) => ErrorClass::Input,
        }
    }
}

impl NamespaceError {
    /// Returns the claim that the mesh violates. `None`: nothing is known about the mesh.
    pub fn fault(&self) -> Option<Check> {
        let Self::Endpoints(error) = self else {
            return None;
        };
        let EndpointsError::Withheld(withheld) = &**error else {
            return None;
        };
        Some(Check {
            probe: withheld.what.clone(),
            matcher: "endpoints".to_owned(),
            expected: withheld.expected(),
            actual: withheld.actual(),
            result: CheckResult::Refuted,
            contrast: false,
            samples: 1,
            method: String::new(),
            alpha: None,
            class: None,
        })
    }
}

/// An error of the cluster's own network.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// The text of a client error includes its causes.
    #[error("cannot list {what}: {error}")]
    List {
        what: &'static str,
        error: Box<kube::Error>,
    },
    #[error(
        "the plain network (without the mesh) does not match the ready pods after {seconds:.0} s: {last}"
    )]
    Never { seconds: f64, last: String },
}

impl Classified for ReachError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::List { error, .. } => error.class(),
            Self::Never { .. } => ErrorClass::Mesh,
        }
    }
}
