//! Where scenarios run. A target gives a Kubernetes API and a way to reach ports of pods.

pub mod cluster;
mod dial;
mod forwarded;
pub mod kind;
pub mod local;
pub mod pass;
mod ready;

pub use dial::{Dial, DialError, PodStream};
pub use ready::Ready;
