//! Applying configuration, and verifying that it reached every proxy.

pub mod applier;
pub mod arrival;
pub mod change;
pub mod compete;
pub mod contents;
pub mod endpoints;
pub mod gateway_api;
pub mod marker;
pub mod order;
pub mod secrets;
pub mod shards;
pub mod taken;
