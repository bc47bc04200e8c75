//! Where scenarios run. A target gives a Kubernetes API and a way to reach ports of pods.

pub mod local;
