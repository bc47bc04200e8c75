//! Envoy, as Istio runs it, queried over its admin interface.

pub mod admin;
pub mod certificates;
pub mod config;
pub mod endpoints;
mod marks;
mod plane;

pub use marks::newest;
pub use plane::{Envoy, is_alive};
