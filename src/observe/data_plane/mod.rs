//! What a scenario observes in a data plane, and the supported data planes: Envoy, and gRPC
//! itself (proxyless).

pub mod envoy;
pub mod grpc;
pub mod hop;
pub mod log;
pub mod spec;

pub use spec::{Ability, AskError, DataPlane, Lag, Mark, Plane};
