//! One run of a probe: makes calls, gathers what all participants observed of them, and judges
//! it.

#[cfg(feature = "browser")]
pub mod browse;
mod calls;
pub mod error;
pub mod flags;
pub mod hops;
pub mod in_flight;
pub mod telemetry;
pub mod way;
pub mod why;

#[cfg(test)]
pub(crate) use calls::evidence;
pub use calls::{
    Outcome, ProbeOptions, RecordedCalls, conclude, read_before, run, target, through_gateway,
    uses_gateway,
};
