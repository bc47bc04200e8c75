//! What happens to everything that takes part in a scenario, beside what the mesh is judged by;
//! `verdict::guard` has the rule.

mod api;
mod history;
pub mod judge;
mod pulse;
mod watch;

pub use history::Roles;
pub use watch::{Guard, Guarded, Guards};
