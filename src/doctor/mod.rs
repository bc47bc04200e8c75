//! What is missing on this machine for a target, and how to get it.
//!
//! A probe gathers facts and judges nothing; a check judges facts and reads nothing itself. So
//! each check can be tested with facts that no available machine has.

pub mod answer;
pub mod check;
pub mod cluster;
pub mod disk;
pub mod docker;
pub mod ids;
pub mod kind;
pub mod local;
pub mod machine;
pub mod namespaces;
pub mod probe;
pub mod programs;
mod text;
mod version;

pub use check::{CheckState, DoctorCheck, Report, Verbosity};
