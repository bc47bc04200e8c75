//! Connections to pods on any target: streams to their ports, and HTTP over these.

mod dial;
mod forwarded;
pub mod http;
mod idle;
pub mod pass;

pub use dial::{DialError, PodDialer, PodStream, Unreachable};
