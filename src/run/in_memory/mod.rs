//! A cluster in this process, for tests of the engine with calls. Deployments that are applied to
//! its API server get pods, whose programs are the test bed's callers and servers on loopback
//! addresses. There is no mesh: calls reach the server directly.

mod istiod;
mod node;
mod program;
pub mod story;
pub mod world;
