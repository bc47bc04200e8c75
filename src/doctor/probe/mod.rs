//! Gathers facts. Nothing here judges, changes anything or uses the network, except to query an
//! API server.

mod cluster;
mod docker;
mod kernel;
mod kind;
mod local;
mod machine;
mod program;
mod room;

pub use cluster::cluster;
pub use kind::{Wanted, kind};
pub use local::local;
