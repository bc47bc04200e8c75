//! The typed suite file: what an author may write. Parsing with positions is in `scenario::parse`,
//! rules across fields in `plan::lint`; verbs are in `scenario::verb`, matchers in
//! `verdict::matcher`.

pub mod probe;
pub mod scenario;
pub mod stream;
pub mod tls;
pub mod web;

pub use probe::{Cell, Override, Probe};
pub use scenario::{Level, Scenario, Workload};

pub use super::verb::{
    Step, await_stat::Await, certificate::Certificate, churn::Churn, contrast::Contrast,
    converge::Converge, finish::Finish, ready::Ready, refused::Refused, scale::Scale, tell::Tell,
    versus::Versus,
};
pub use crate::verdict::matcher::Expect;
