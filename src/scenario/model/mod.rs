//! The types of a suite file. Parsing with positions is in `scenario::parse`, rules across fields
//! are in `plan::lint`, verbs in `scenario::verb`, matchers in `verdict::matcher`.

pub mod probe;
pub mod scenario;
pub mod stream;
pub mod tls;
pub mod web;

pub use probe::{Case, Override, Probe};
pub use scenario::{Level, Scenario, Workload};

pub use super::verb::{
    Step, certificate::Certificate, churn::Churn, compare::Compare,
    configure_server::ConfigureServer, contrast::Contrast, converge::Converge,
    expect_ready::ExpectReady, expect_rejected::ExpectRejected, scale::Scale,
    stop_background::StopBackground, wait_for_stat::WaitForStat,
};
pub use crate::verdict::matcher::Expect;
