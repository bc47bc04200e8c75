//! What was seen: calls by the caller, attempts by the servers, configuration by the proxies and by istiod.

pub mod envoy;
pub mod hop;
pub mod testbed;
