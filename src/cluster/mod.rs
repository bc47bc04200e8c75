//! Verbs on the Kubernetes API that every target shares.

pub mod object;
pub mod pods;
