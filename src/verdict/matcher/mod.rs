//! The matchers: one file each, and code that several of them share. To add a matcher, add its file
//! and a line in `registry.rs`.

pub mod access_log;
pub mod answered_by;
pub mod attempts;
pub mod config;
mod connections;
pub mod counters;
pub mod detects;
mod groups;
pub mod http_status;
pub mod initial_metadata;
pub mod istioctl;
pub mod max_failed;
pub mod message;
mod metadata;
pub mod page_sees;
pub mod peer_identity;
pub mod pinned;
pub mod produced_by;
pub mod reaches_all;
#[cfg(test)]
mod reference;
pub mod registry;
pub mod remapped;
pub mod reset;
pub mod response;
pub mod response_flag;
pub mod server_connections;
pub mod server_deadline;
pub mod server_metadata;
pub mod server_metadata_includes;
pub mod server_pings;
pub mod share;
pub mod spans;
pub mod spec;
pub mod spread;
pub mod status;
pub mod status_in;
pub mod sticky_by;
pub mod stream;
pub mod stream_outcome;
pub mod tls;
pub mod took;
pub mod trace;
pub mod trailing_metadata;
pub mod upstream_protocol;

pub use registry::{Expect, MATCHERS, Matcher, Member};
pub use spec::{ExpectError, Spec};
