//! Judging, as pure functions: expectation × observation → check → verdict.
//!
//! The input is a [`ResolvedExpect`] (typed matchers) and the [`Observations`]. The output is one
//! [`outcome::Check`] per matcher, and from all checks of a scenario its [`outcome::Verdict`]. No
//! I/O, no clock, no randomness.

pub mod agreement;
pub mod answer;
pub mod calls;
pub mod compare;
pub mod conclude;
pub mod expect;
pub mod fields;
pub mod gathered;
pub mod guard;
pub mod judge;
pub mod judgement;
pub mod key_assignments;
pub mod known;
pub mod logged;
pub mod matcher;
pub mod monitor;
pub mod observations;
pub mod outcome;
pub mod pods;
pub mod producer;
pub mod stall;
pub mod tally;
pub mod text;
pub mod why;

#[cfg(test)]
mod agreement_tests;
#[cfg(test)]
mod conclude_tests;
#[cfg(test)]
mod judge_tests;
#[cfg(test)]
pub(crate) mod testing;

pub use conclude::scenario_verdict;
pub use expect::ResolvedExpect;
pub use judge::{as_contrast, judge};
pub use matcher::Matcher;
pub use monitor::Monitor;
pub use observations::Observations;
pub use statistics::{Decision, Rates};
