//! Semantic checks of scenarios that parsed without errors.

mod calls;
mod context;
mod expect;
mod manifest;
mod names;
mod placeholders;
mod remapped;
mod scenario;
mod tls;
mod web;
mod workload;

pub use context::LintContext;
pub use placeholders::bad_placeholders;
pub use scenario::{lint, lint_all};
