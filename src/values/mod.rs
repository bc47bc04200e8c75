//! Value types of suite files: durations, counts and shares, gRPC status codes, metadata.

pub mod metadata;
pub mod range;
pub mod status;
