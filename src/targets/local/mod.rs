//! The local target: a private world of namespaces with a real control plane, and a node of this
//! project that runs pods as processes.

pub mod bring_up;
pub mod container;
pub mod internal;
mod limits;
pub mod node;
pub mod ns;
mod pods;
pub mod shell;
pub mod snapshot;
pub mod world;
