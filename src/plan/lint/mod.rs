//! What is wrong with scenarios although each of their words can be read.

mod calls;
mod context;
mod expect;
mod manifest;
mod moved;
mod names;
mod placeholders;
mod scenario;
mod tls;
mod web;
mod workload;

pub use context::Context;
pub use placeholders::bad_placeholders;
pub use scenario::{lint, lint_all};
