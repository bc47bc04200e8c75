//! The matchers: what each says of the calls of a run. One file for each, or for those that look at one thing.

pub mod busy;
pub mod call;
pub mod config;
pub mod coverage;
pub mod cycle;
pub mod detects;
pub mod even;
pub mod ledger;
pub mod moved;
pub mod page;
pub mod pinned;
pub mod share;
pub mod stream;
pub mod telemetry;
pub mod tls;
