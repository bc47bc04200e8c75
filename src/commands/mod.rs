//! One file per command: settings in, exit code out.

mod again;
pub mod bring;
pub mod completions;
pub mod doctor;
pub mod error;
pub mod explain;
mod gc;
pub mod honoured;
pub mod image;
pub mod lint;
pub mod list;
pub mod man;
pub mod mutate;
mod offered;
mod on;
mod reached;
pub mod report;
pub mod run;
pub mod schema;
mod selected;
mod status;
pub mod target;
pub mod toolchain;

pub use error::CommandError;
