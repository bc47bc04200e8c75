//! The number of a step, as shown in every output.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::model::{Scenario, Step};

/// Position of a step in its scenario, from 1: the first step of the file is step 1 on the console,
/// in every report, in `explain` and in the names of evidence files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepNumber(u32);

impl StepNumber {
    /// Before the first step, while the workloads are created.
    pub const WORLD: Self = Self(0);

    /// The number of the step at this index, which starts at 0.
    pub fn at(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX)).next()
    }

    /// The number after this one; saturates at the maximum.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl Scenario {
    /// The steps with their numbers, in order.
    pub fn numbered_steps(&self) -> impl Iterator<Item = (StepNumber, &Step)> {
        let steps = self.steps.iter().enumerate();
        steps.map(|(index, step)| (StepNumber::at(index), step))
    }
}

impl fmt::Display for StepNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_is_number_one() {
        let first = StepNumber::at(0);
        assert_eq!(first.to_string(), "1");
        assert_eq!(
            serde_json::to_string(&first.next()).expect("plain data"),
            "2"
        );
        assert!(StepNumber::at(usize::MAX) > first);
    }
}
