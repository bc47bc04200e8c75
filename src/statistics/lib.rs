//! Sequential tests with declared error rates. The input is answers as small numbers; the output is
//! decisions.
//!
//! This crate knows nothing about calls or pods; `verdict` maps names to numbers. It is a separate
//! crate, optimised in every profile, because it is verified by simulation: a million runs of each
//! rule, with calls in flight that end in another order than they began.

mod agreement;
mod coverage;
mod evenness;
mod in_order;
mod power;
mod proportion;
mod rates;
mod shares;
mod turns;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tables;

pub use agreement::{Agreement, repeats_needed};
pub use coverage::{Coverage, coverage_size};
pub use evenness::Evenness;
pub use in_order::InOrder;
pub use power::{calls_to_see, largest_unseen, seen_in};
pub use proportion::{Fixed, Proportion, interval};
pub use rates::{Decision, Rates};
pub use shares::{Shares, alternatives};
pub use turns::{Independence, Turns, turns_size};
