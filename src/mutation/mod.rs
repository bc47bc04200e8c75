//! Mutations: the mesh is broken in exactly one way, to verify that exactly the affected scenarios
//! fail.

mod model;
mod patch;
mod shelf;

pub use model::{Edit, Mutation};
pub use patch::{Patch, SHARED_GATEWAY, shared_gateway, sidecars};
pub use shelf::{MutationError, all, find};
