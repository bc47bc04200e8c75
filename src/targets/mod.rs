//! Where scenarios run. A target provides a Kubernetes API and a way to reach ports of pods.

mod access;
pub mod cluster;
pub mod keep;
pub mod kind;
pub mod local;
mod target_kind;

pub use access::TargetAccess;
pub use target_kind::{DEFAULT_NAME, TargetKind};
