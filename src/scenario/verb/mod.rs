//! The verbs of `steps:`, one file each. To add a verb, add its file and its line in `registry.rs`;
//! its implementation is in `run/step/`.

pub mod apply;
pub mod background;
pub mod certificate;
pub mod churn;
pub mod compare;
pub mod configure_server;
pub mod contrast;
pub mod converge;
pub mod delete;
pub mod expect_ready;
pub mod expect_rejected;
pub mod probe;
pub mod registry;
pub mod restart;
pub mod scale;
pub mod spec;
pub mod stop_background;
pub mod wait_for_stat;

pub use registry::Step;
pub use spec::Verb;
