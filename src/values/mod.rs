//! The values that suite files are written in: times, counts and shares, gRPC status codes,
//! metadata.

pub mod metadata;
pub mod range;
pub mod status;
