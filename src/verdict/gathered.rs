//! What was gathered beside calls and ledgers: logs, counters, spans, configuration.

use std::collections::BTreeMap;

use testbed::control::Span;

use crate::observe::data_plane::hop::{Hop, Taken};

/// What was gathered of telemetry in one run of a probe.
#[derive(Debug, Clone, Default)]
pub struct Telemetry {
    /// Fields of the access log's line by call id.
    pub log: BTreeMap<String, BTreeMap<String, String>>,
    /// Growth of each counter; those that the proxy does not have are missing.
    pub counters: BTreeMap<String, u64>,
    pub spans: Vec<Span>,
    /// What the tool printed.
    pub istioctl: Vec<String>,
    /// Hops that took the calls.
    pub hops: Hops,
}

/// What proxies had when the calls were over.
#[derive(Debug, Clone, Default)]
pub struct Hops {
    /// Where each call went, by call id; none for a call that met no cluster, or has no line in the
    /// log.
    pub taken: BTreeMap<String, Taken>,
    pub parts: BTreeMap<Taken, Hop>,
}
