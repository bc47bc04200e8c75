//! Where scenarios run. A target gives a Kubernetes API and a way to reach ports of pods.

pub mod cluster;
pub mod keep;
pub mod kind;
pub mod local;
mod ready;
mod target_kind;

pub use ready::Ready;
pub use target_kind::{DEFAULT_NAME, TargetKind};
