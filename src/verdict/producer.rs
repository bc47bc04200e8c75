//! Who produced the status of a call.
//!
//! | evidence | producer |
//! |---|---|
//! | no connection, or the caller's own deadline or patience ran out | client |
//! | a status on the wire together with our server's header | application |
//! | reset, and the ledger says that the application reset its last attempt | application |
//! | reset otherwise, also after a whole answer | some proxy |
//! | no server header, and no proxy in the world | application (its gRPC library) |
//! | no server header, and no proxy before that of the server | far proxy |
//! | no server header, and the near proxy passed it on | far proxy; without one, the application |
//! | no server header, and the near proxy made it up | near proxy |
//!
//! Whether the near proxy passed an answer on is said by `x-envoy-upstream-service-time`, which
//! Envoy's router sets on what an *upstream* answered (router filter documentation, "HTTP headers
//! (set on downstream responses)"); a reply that the proxy makes up itself has none. A proxy may be
//! told to hide its headers, and of two near proxies (sidecar and gateway) the header means either:
//! then the log decides, whose response code details are `via_upstream` for what was passed on
//! (Envoy documentation, "Response Code Details"). Where neither tells, it is some proxy.

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
    /// Some proxy, when near and far can't be told apart by this probe.
    Proxy,
}

/// What stands between the caller and the application, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// A proxy on the caller's side: its sidecar, or a gateway.
    pub near: bool,
    /// A proxy on the servers' side.
    pub far: bool,
    /// Both a sidecar and a gateway are near: each sets Envoy's header on what it gets from the
    /// other.
    pub two: bool,
    /// A near proxy hides its headers.
    pub hidden: bool,
    /// By call id, whether the near proxies passed the answer on, as their logs tell.
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
    /// The headers of this answer leave open which proxy made it.
    pub fn is_open(&self, call: &Observation) -> bool {
        let answered = matches!(call.status.origin, Origin::Wire | Origin::Http);
        let passed = answer::mark(call, SERVICE_TIME).is_some();
        let open = if passed { self.two } else { self.hidden };
        answered && self.near && open && answer::pod(call).is_none()
    }

    /// As [`Self::is_open`], and the logs say nothing either.
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

/// Decides from one call, the attempts that servers counted for it, and the way that it took.
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

/// `proxy` in an expectation is met by either proxy; everything else by itself.
pub fn matches(expected: Producer, actual: Producer) -> bool {
    expected == actual
        || (expected == Producer::Proxy
            && matches!(actual, Producer::OutboundProxy | Producer::InboundProxy))
}

/// For messages.
pub fn name(producer: Producer) -> &'static str {
    match producer {
        Producer::Application => "application",
        Producer::InboundProxy => "inbound-proxy",
        Producer::OutboundProxy => "outbound-proxy",
        Producer::Client => "client",
        Producer::Proxy => "proxy",
    }
}
