//! Where scenarios run. A target gives a Kubernetes API and a way to reach ports of pods.

mod dial;
pub mod local;

pub use dial::{Dial, DialError, PodStream};
