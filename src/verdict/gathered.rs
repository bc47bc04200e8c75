//! Observations other than calls and ledgers: logs, counters, spans, configuration.

use std::collections::BTreeMap;

use testbed::control::Span;

use crate::observe::data_plane::hop::{Hop, Taken};

/// The telemetry of one run of a probe.
#[derive(Debug, Clone, Default)]
pub struct Telemetry {
    /// Fields of the access-log line, by call id.
    pub log: BTreeMap<String, BTreeMap<String, String>>,
    /// Growth of each counter. Counters that the proxy does not have are absent.
    pub counters: BTreeMap<String, u64>,
    pub spans: Vec<Span>,
    /// The lines that `istioctl` printed.
    pub istioctl: Vec<String>,
    /// Hops that handled the calls.
    pub hops: Hops,
}

/// The proxies' configuration when the calls had ended.
#[derive(Debug, Clone, Default)]
pub struct Hops {
    /// The hop of each call, by call id; none for a call that was routed to no cluster or has no
    /// line in the access log.
    pub taken: BTreeMap<String, Taken>,
    pub parts: BTreeMap<Taken, Hop>,
}
