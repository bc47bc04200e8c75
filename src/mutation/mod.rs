//! Mutations: the mesh broken in exactly one way, to see that exactly the scenarios concerned
//! notice.

mod model;
mod patch;
mod shelf;

pub use model::{Edit, Mutation};
pub use patch::{Patch, SHARED_GATEWAY, shared_gateway, sidecars};
pub use shelf::{MutationError, all, find};
