//! Verbs on the Kubernetes API that every target shares.

pub mod client;
pub mod object;
pub mod pods;
