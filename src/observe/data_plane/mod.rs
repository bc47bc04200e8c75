//! What a scenario asks of a data plane, and the data planes that are known: Envoy, and gRPC itself
//! (proxyless).

pub mod envoy;
pub mod grpc;
pub mod hop;
pub mod log;
pub mod spec;

pub use spec::{Ability, AskError, DataPlane, Lag, Mark, Plane};
