//! Errors: their class, and how one is printed with its causes.

use std::{error::Error, fmt};

use serde::{Deserialize, Serialize};

/// What is responsible for an error. Reports group by it, because what a reader does about an
/// ERROR depends on it most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorClass {
    /// The mesh or the cluster that it runs in: istiod, a proxy, the API server, a pod that does
    /// not become ready.
    Mesh,
    /// meshproof itself: its callers, its servers, the control channel to them, its observations.
    Harness,
    /// The machine: too slow, out of memory, disk space or descriptors; a program that is missing.
    Machine,
    /// What an author wrote: a suite, a manifest, a flag.
    Input,
}

impl ErrorClass {
    /// The name of the class in reports and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mesh => "mesh",
            Self::Harness => "harness",
            Self::Machine => "machine",
            Self::Input => "input",
        }
    }
}

/// An error with a class.
pub trait Classified: Error {
    fn class(&self) -> ErrorClass;
}

/// The text and the class of an error, as events and reports show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub message: String,
    pub class: ErrorClass,
}

impl Trouble {
    pub fn new(message: impl Into<String>, class: ErrorClass) -> Self {
        let message = message.into();
        Self { message, class }
    }

    /// Converts an error, with its causes in the text.
    pub fn of(error: &impl Classified) -> Self {
        Self::new(chain(error), error.class())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.message)
    }
}

/// Returns an error and its causes on one line. A cause that the text already contains is not
/// repeated.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
