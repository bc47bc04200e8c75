//! The verbs of a scenario but for those that call.

pub mod background;
pub mod calls;
pub mod certificates;
pub mod change;
pub mod configuration;
pub mod istiod;
pub mod refused;
pub mod versus;
