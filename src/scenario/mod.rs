//! Suite files: loading, parsing and selecting scenarios, their workloads, manifests and lists of
//! known failures.

pub mod again;
pub mod dialect;
pub mod file;
pub mod finding;
pub mod kinds;
pub mod known;
pub mod limits;
pub mod list;
pub mod load;
pub mod loaded;
pub mod manifest;
pub mod model;
pub mod objects;
pub mod parse;
pub mod reach;
pub mod requirements;
pub mod schema;
pub mod script;
pub mod select;
pub mod set;
pub mod shard;
pub mod step_number;
pub mod verb;
pub mod workload_file;

pub use crate::values::{metadata as values, range, status};
pub use file::LoadError;
pub use finding::Finding;
pub use load::{Suites, Tree};
pub use loaded::LoadedScenario;
pub use set::{ScenarioSet, load_all};
pub use step_number::StepNumber;
