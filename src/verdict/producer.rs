//! Which component produced the status of a call.
//!
//! | evidence | producer |
//! |---|---|
//! | no connection, or the caller's own deadline or time limit expired | client |
//! | a status on the wire together with the test bed server's header | application |
//! | reset, and according to the ledger the application reset the last attempt | application |
//! | any other reset, also after a complete response | some proxy |
//! | no server header, and no proxy at all | application (its gRPC library) |
//! | no server header, and no proxy before the server's | inbound proxy |
//! | no server header, and the outbound proxy passed it on | inbound proxy; without one, the application |
//! | no server header, and the outbound proxy generated it | outbound proxy |
//!
//! Whether the outbound proxy passed a response on is indicated by `x-envoy-upstream-service-time`,
//! which Envoy's router sets on responses of an *upstream* (router filter documentation, "HTTP
//! headers (set on downstream responses)"); a local reply of the proxy does not have it. A proxy
//! may be configured to hide its headers, and with two outbound proxies (sidecar and gateway) the
//! header can be from either. In these cases the access log decides: its response code details are
//! `via_upstream` for a response that was passed on (Envoy documentation, "Response Code Details").
//! If neither is conclusive, it is some proxy.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use testbed::control::{Attempt, Observation, Origin};

use super::answer;

const SERVICE_TIME: &str = "x-envoy-upstream-service-time";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Producer {
    Application,
    /// The server's sidecar, also when it is the only proxy.
    InboundProxy,
    /// The client's sidecar or the gateway.
    OutboundProxy,
    Client,
    /// Some proxy, if this probe cannot tell inbound and outbound proxy apart.
    Proxy,
}

/// The proxies between the caller and the application, and what is known about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// A proxy on the caller's side: its sidecar, or a gateway.
    pub near: bool,
    /// A proxy on the servers' side.
    pub far: bool,
    /// There are two proxies on the caller's side, a sidecar and a gateway: each sets Envoy's
    /// header on what it receives from the other.
    pub two: bool,
    /// A proxy on the caller's side hides its headers.
    pub hidden: bool,
    /// By call id, whether the outbound proxies passed the response on, according to their logs.
    pub passed_on: BTreeMap<String, bool>,
}

impl Default for Way {
    fn default() -> Self {
        Self {
            near: true,
            far: true,
            two: false,
            hidden: false,
            passed_on: BTreeMap::new(),
        }
    }
}

impl Way {
    /// Whether the headers of this response leave open which proxy produced it.
    pub fn is_open(&self, call: &Observation) -> bool {
        let answered = matches!(call.status.origin, Origin::Wire | Origin::Http);
        let passed = answer::mark(call, SERVICE_TIME).is_some();
        let open = if passed { self.two } else { self.hidden };
        answered && self.near && open && answer::pod(call).is_none()
    }

    /// Like [`Self::is_open`], and the logs do not decide it either.
    pub fn is_unknown(&self, call: &Observation) -> bool {
        self.is_open(call) && !self.passed_on.contains_key(&call.call)
    }

    fn unmarked(&self, call: &Observation) -> Producer {
        let behind = if self.far {
            Producer::InboundProxy
        } else {
            Producer::Application
        };
        let passed_on = self.passed_on.get(&call.call).copied();
        match passed_on {
            _ if !self.near => behind,
            None if self.is_open(call) => Producer::Proxy,
            passed_on if passed_on.unwrap_or(answer::mark(call, SERVICE_TIME).is_some()) => behind,
            _ => Producer::OutboundProxy,
        }
    }
}

/// Determines the producer from the call, its attempts at servers, and the proxies in between.
pub fn producer(call: &Observation, attempts: &[&Attempt], way: &Way) -> Producer {
    match call.status.origin {
        Origin::Transport | Origin::ClientDeadline | Origin::ClientPatience => Producer::Client,
        Origin::Reset => {
            let last = attempts.iter().max_by_key(|attempt| attempt.at_us);
            match last.is_some_and(|last| last.end == "reset") {
                true => Producer::Application,
                false => Producer::Proxy,
            }
        }
        Origin::Wire | Origin::Http if answer::pod(call).is_some() => Producer::Application,
        Origin::Wire | Origin::Http => way.unmarked(call),
    }
}

/// Whether `actual` meets `expected`. Either proxy meets `proxy`.
pub fn matches(expected: Producer, actual: Producer) -> bool {
    expected == actual
        || (expected == Producer::Proxy
            && matches!(actual, Producer::OutboundProxy | Producer::InboundProxy))
}

/// The name in messages and in suite files.
pub fn name(producer: Producer) -> &'static str {
    match producer {
        Producer::Application => "application",
        Producer::InboundProxy => "inbound-proxy",
        Producer::OutboundProxy => "outbound-proxy",
        Producer::Client => "client",
        Producer::Proxy => "proxy",
    }
}
