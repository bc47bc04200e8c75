//! One file per command: settings in, exit code out.

pub mod completions;
pub mod error;
pub mod man;
pub mod report;
pub mod schema;

pub use error::CommandError;
