//! Observations: calls by the caller, attempts by the servers, configuration and logs by data
//! planes.

pub mod data_plane;
pub mod testbed;
