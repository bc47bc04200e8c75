//! The typed suite file: load, parse, lint, select, explain, schema.

pub mod again;
pub mod dialect;
pub mod explain;
pub mod finding;
pub mod known;
pub mod lint;
pub mod list;
pub mod load;
pub mod manifest;
pub mod model;
pub mod model_change;
pub mod model_config;
pub mod model_stream;
pub mod model_telemetry;
pub mod model_tls;
pub mod model_versus;
pub mod model_web;
pub mod parse;
pub mod reach;
pub mod requirements;
pub mod resolve;
pub mod schema;
pub mod select;
pub mod step_number;

mod lint_change;
mod lint_expect;
mod lint_moved;
mod lint_refs;
mod lint_telemetry;
mod lint_tls;
mod lint_versus;
mod lint_web;
mod lint_workload;

pub use finding::Finding;
pub use load::{Suites, Tree};
pub use parse::{Loaded, load_all};
pub use resolve::{ResolvedProbe, resolve_contrast, resolve_probe};
pub use step_number::StepNumber;
