//! One run of a probe: calls are made, and what everybody saw of them is gathered and judged.

#[cfg(feature = "browser")]
pub mod browse;
pub mod busy;
mod calls;
pub mod error;
pub mod flags;
pub mod hops;
pub mod telemetry;
pub mod way;
pub mod why;

#[cfg(test)]
pub(crate) use calls::evidence;
pub use calls::{
    Made, Manner, Outcome, conclude, read_before, run, target, through_gateway, uses_gateway,
};
