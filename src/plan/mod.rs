//! Pure: from scenarios to what a run does: their probes with every value filled in, their rules,
//! their order.

mod call_plan;
pub mod explain;
pub mod lint;
mod order;
pub mod resolve;

pub use order::{Plan, PlanAction, PlanEntry, PlanOptions, action, plan, step_probes};
