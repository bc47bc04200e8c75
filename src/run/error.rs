//! Why a scenario has no verdict of the mesh.

use super::{
    namespace::{control::ControlError, mutated::MutationNotTaken},
    step::error::StepError,
};
use crate::{
    errors::{Classified, ErrorClass},
    scenario::{StepNumber, workload_file::WorkloadFileError},
    yaml::YamlError,
};

/// Makes an ERROR of a scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// A workload's file is missing or cannot be read.
    #[error(transparent)]
    Workload(#[from] WorkloadFileError),
    #[error("{file}")]
    Documents { file: String, source: YamlError },
    /// Its namespace could not be made.
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
