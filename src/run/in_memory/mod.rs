//! A cluster in this process, for tests of the engine with calls: what is applied to its API server
//! gets pods, whose programs are the test bed's own callers and servers on addresses of the
//! loopback. There is no mesh: who calls reaches the server itself.

mod istiod;
mod node;
mod program;
pub mod story;
pub mod world;
