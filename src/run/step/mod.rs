//! Implementations of the verbs of a scenario.

pub mod background;
pub mod calls;
pub mod certificates;
pub mod change;
pub mod compare;
pub mod configuration;
pub mod error;
pub mod expect_rejected;
pub mod istiod;
