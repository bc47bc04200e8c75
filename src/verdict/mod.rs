//! Pure: expectation × observation → check → verdict.
//!
//! In: a [`ResolvedExpect`] (typed matchers) and what was [`Seen`]. Out: one [`outcome::Check`] per matcher, and from
//! all checks of a scenario its [`outcome::Verdict`]. No I/O, no clock, no randomness.

pub mod busy;
pub mod call;
pub mod conclude;
pub mod config;
pub mod coverage;
pub mod cycle;
pub mod detects;
pub mod even;
pub mod expect;
pub mod fields;
pub mod guard;
pub mod judge;
pub mod ledger;
pub mod moved;
pub mod outcome;
pub mod page;
pub mod pinned;
pub mod producer;
pub mod range;
pub mod seen;
pub mod sequential;
pub mod share;
pub mod stall;
pub mod status;
pub mod stream;
pub mod tally;
pub mod telemetry;
pub mod tls;
pub mod versus;
pub mod why;

#[cfg(test)]
mod judge_tests;
#[cfg(test)]
pub(crate) mod testing;

pub use conclude::{Known, scenario_verdict};
pub use expect::{Matcher, ResolvedExpect};
pub use judge::{as_contrast, judge};
pub use seen::Seen;
pub use sequential::Monitor;
pub use statistics::{Decision, Rates};
