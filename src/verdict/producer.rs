//! Who produced the status of a call.
//!
//! | evidence on the wire | producer |
//! |---|---|
//! | no connection, or the caller's own deadline or patience ran out | client |
//! | a status on the wire together with our server's header | application |
//! | reset, while the server's ledger says that it answered in full | application |
//! | no server header, `x-envoy-upstream-service-time` present | far proxy |
//! | no server header, no such header, answered over HTTP | near proxy; the far one where the caller has none and calls the server straight ([`super::call::Calls::producer`]) |
//! | reset, and the server did not answer in full | some proxy |
//!
//! Envoy's router sets `x-envoy-upstream-service-time` on what an *upstream* answered (router filter documentation,
//! "HTTP headers (set on downstream responses)"); a reply that the proxy makes up itself ("local reply") has none. So the
//! header says that the near proxy forwarded an answer of somebody behind it, and that is the far proxy when it was not the application.

use testbed::control::{Attempt, Observation, Origin};

use super::seen;
use crate::scenario::model::Producer;

const SERVICE_TIME: &str = "x-envoy-upstream-service-time";

/// Decides from one call and the attempts that servers counted for it.
pub fn producer(call: &Observation, attempts: &[&Attempt]) -> Producer {
    match call.status.origin {
        Origin::Transport | Origin::ClientDeadline | Origin::ClientPatience => Producer::Client,
        Origin::Reset if attempts.iter().any(|attempt| attempt.end == "answered") => {
            Producer::Application
        }
        Origin::Reset => Producer::Proxy,
        Origin::Wire | Origin::Http if seen::pod(call).is_some() => Producer::Application,
        Origin::Wire | Origin::Http if seen::metadata(call, SERVICE_TIME).is_some() => {
            Producer::FarProxy
        }
        Origin::Wire | Origin::Http => Producer::NearProxy,
    }
}

/// `proxy` in an expectation is met by either proxy; everything else by itself.
pub fn matches(expected: Producer, actual: Producer) -> bool {
    expected == actual
        || (expected == Producer::Proxy
            && matches!(actual, Producer::NearProxy | Producer::FarProxy))
}

/// For messages.
pub fn words(producer: Producer) -> &'static str {
    match producer {
        Producer::Application => "application",
        Producer::FarProxy => "far-proxy",
        Producer::NearProxy => "near-proxy",
        Producer::Client => "client",
        Producer::Proxy => "proxy",
    }
}
