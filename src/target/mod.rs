//! Where a mesh runs.
pub mod local;
