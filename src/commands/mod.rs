//! One file per command: settings in, exit code out.

pub mod completions;
pub mod error;
pub mod explain;
pub mod list;
pub mod man;
pub mod report;
pub mod schema;
mod selected;

pub use error::CommandError;
