//! The verbs of a scenario.

pub mod background;
pub mod calls;
pub mod certificates;
pub mod change;
pub mod configuration;
pub mod error;
pub mod istiod;
pub mod refused;
pub mod versus;
