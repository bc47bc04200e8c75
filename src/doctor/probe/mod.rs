//! Gathering facts. Nothing here judges; nothing here changes anything or asks the network.

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
