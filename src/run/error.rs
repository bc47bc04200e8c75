//! Errors that leave a scenario without a verdict.

use super::{
    namespace::{control::ControlError, mutated::MutationNotTaken},
    step::error::StepError,
};
use crate::{
    errors::{Classified, ErrorClass},
    scenario::{StepNumber, workload_file::WorkloadFileError},
    yaml::YamlError,
};

/// An error that makes the verdict of a scenario ERROR.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file of a workload is missing or cannot be read.
    #[error(transparent)]
    Workload(#[from] WorkloadFileError),
    #[error("{file}")]
    Documents { file: String, source: YamlError },
    /// The scenario's namespace or its workloads could not be created.
    #[error(transparent)]
    World(StepError),
    #[error("step {number} ({what})")]
    Step {
        number: StepNumber,
        what: String,
        source: Box<StepError>,
    },
    #[error(transparent)]
    Background(StepError),
    #[error(transparent)]
    Untaken(#[from] MutationNotTaken),
    #[error(transparent)]
    Control(#[from] ControlError),
}

impl Classified for ScenarioError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Workload(_) | Self::Documents { .. } => ErrorClass::Input,
            Self::World(error) | Self::Background(error) => error.class(),
            Self::Step { source, .. } => source.class(),
            Self::Untaken(error) => error.class(),
            Self::Control(error) => error.class(),
        }
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
