//! The events of a run: the engine emits them, `events.jsonl` stores them, and every report is
//! made from them.

pub mod model;
pub mod phases;
pub mod recorder;
mod redacted;
pub mod run_id;
mod text;

pub use model::{Event, EventKind, OLDEST_SCHEMA, RunInfo, SCHEMA, ScenarioEnd};
