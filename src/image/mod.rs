//! Images as files that container runtimes load: a tree of files becomes a layer, a layer and its configuration an archive.

pub mod archive;
mod error;
mod layer;
mod tree;

pub use archive::{Written, write, write_all};
pub use error::ArchiveError;
