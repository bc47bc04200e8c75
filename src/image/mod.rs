//! Images as archives for container runtimes: a tree of files becomes a layer, and a layer with its
//! configuration an archive.

pub mod archive;
mod error;
pub mod istio;
pub mod kubernetes;
mod layer;
mod list;
pub mod save;
mod tree;
mod whole;

pub use archive::{WrittenImage, write, write_all};
pub use error::ArchiveError;
pub use list::{ListedImage, list};
