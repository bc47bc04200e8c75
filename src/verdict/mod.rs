//! Pure: expectation × observation → check → verdict.
//!
//! In: a [`ResolvedExpect`] (typed matchers) and what was [`Seen`]. Out: one [`outcome::Check`] per
//! matcher, and from all checks of a scenario its [`outcome::Verdict`]. No I/O, no clock, no
//! randomness.

pub mod agreement;
pub mod answer;
pub mod calls;
pub mod conclude;
pub mod expect;
pub mod fields;
pub mod gathered;
pub mod guard;
pub mod judge;
pub mod judgement;
pub mod known;
pub mod logged;
pub mod matcher;
pub mod monitor;
pub mod outcome;
pub mod owners;
pub mod pods;
pub mod producer;
pub mod seen;
pub mod stall;
pub mod tally;
pub mod versus;
pub mod why;
pub mod words;

#[cfg(test)]
mod judge_tests;
#[cfg(test)]
pub(crate) mod testing;

pub use conclude::scenario_verdict;
pub use expect::ResolvedExpect;
pub use judge::{as_contrast, judge};
pub use matcher::Matcher;
pub use monitor::Monitor;
pub use seen::Seen;
pub use statistics::{Decision, Rates};
