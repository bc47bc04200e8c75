//! Pure: turns scenarios into what a run does: fully resolved probes, lint rules, and the order.

mod call_plan;
pub mod explain;
pub mod isolation;
pub mod lint;
mod order;
pub mod resolve;
mod sequence;

pub use order::{Plan, PlanAction, PlanEntry, PlanOptions, action, plan, step_probes};
