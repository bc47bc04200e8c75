//! One file per command: settings in, exit code out.

mod again;
pub mod completions;
pub mod doctor;
pub mod error;
pub mod explain;
mod gc;
pub mod image;
pub mod lint;
pub mod list;
pub mod man;
mod mesh_capabilities;
pub mod mutate;
pub mod provision;
mod reached;
pub mod report;
pub mod requested_target;
pub mod run;
pub mod schema;
mod selection;
mod status;
pub mod target;
mod target_handle;
pub mod toolchain;

pub use error::CommandError;
