//! What happens in a run: the engine emits it, `events.jsonl` keeps it, every report is made of it.

pub mod model;
pub mod phases;
pub mod recorder;
mod redacted;
pub mod run_id;
mod text;

pub use model::{Event, EventKind, OLDEST_SCHEMA, RunInfo, SCHEMA, ScenarioEnd};
