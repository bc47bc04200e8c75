//! Watches the programs that take part in a scenario for terminations, stalls and lost readiness.
//! `verdict::guard` has the rule by which they affect verdicts.

mod api;
mod history;
pub mod judge;
mod pulse;
mod watch;

pub use history::Roles;
pub use watch::{Guard, Guarded, Guards};
