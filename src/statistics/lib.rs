//! Tests with declared error rates: answers go in as small numbers, decisions come out.
//!
//! Nothing here knows of calls or pods; `verdict` gives the numbers their names. A crate of its
//! own, optimised in every profile, because its proof is simulation: a million runs of each rule,
//! with calls in flight that end in another order than they began.

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
