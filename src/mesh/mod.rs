//! The mesh on a target: installing it, and waiting until configuration is live in it.

pub mod istio;
