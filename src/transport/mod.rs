//! Bytes to and from pods, whichever target they run on: streams to their ports, HTTP over these.

mod dial;
mod forwarded;
pub mod http;
mod idle;
pub mod pass;

pub use dial::{DialError, PodDialer, PodStream, Unreachable};
