//! Events in, reports out. [`Sink`] receives events as they happen, [`render`] writes the files
//! from the folded [`Model`].

pub mod annotations;
pub mod conformance;
pub mod console;
pub mod folder;
pub mod html;
pub mod json;
pub mod jsonl;
pub mod junit;
pub mod model;
pub mod progress;
pub mod render;
pub mod sink;
pub mod summary;
pub mod text;

pub use model::{Model, ScenarioReport, VerdictCounts};
pub use sink::{Finished, Sink, SinkError, SinkOptions};

#[cfg(test)]
pub(crate) mod golden;
#[cfg(test)]
mod secrets_tests;
