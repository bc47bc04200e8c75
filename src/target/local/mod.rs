//! The local target: a private world of namespaces with a real control plane and a home-made node.
pub mod container;
pub mod node;
pub mod ns;
