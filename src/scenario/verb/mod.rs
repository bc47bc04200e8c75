//! The verbs of `steps:`: one file each. A verb is added by its file and by its line in
//! `registry.rs`; what it does to a mesh is in `run/step/`.

pub mod apply;
pub mod await_stat;
pub mod background;
pub mod certificate;
pub mod churn;
pub mod contrast;
pub mod converge;
pub mod delete;
pub mod finish;
pub mod probe;
pub mod ready;
pub mod refused;
pub mod registry;
pub mod restart;
pub mod scale;
pub mod spec;
pub mod tell;
pub mod versus;

pub use registry::Step;
pub use spec::Verb;
