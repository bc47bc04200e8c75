//! One file per command: settings in, exit code out.

pub mod bring;
pub mod completions;
pub mod doctor;
pub mod error;
pub mod explain;
pub mod lint;
pub mod list;
pub mod man;
pub mod mutate;
mod offered;
mod on;
pub mod report;
pub mod run;
pub mod schema;
mod selected;
pub mod target;
pub mod toolchain;

pub use error::CommandError;
