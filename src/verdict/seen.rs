//! What was observed of one run of a probe: the client's calls and the servers' ledgers side by side.

use std::collections::{BTreeMap, BTreeSet};

use super::{moved::Owners, stall::Stalls, telemetry::Telemetry, why::Logged};
use testbed::control::{Attempt, Observation, Origin, SERVER_HEADER, WORKLOAD_HEADER};

/// Pods by workload name and by `app` label; both kinds of key may be present.
pub type Pods = BTreeMap<String, Vec<String>>;

/// Everything that a verdict may rest on.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Calls in the order in which they ended.
    pub calls: Vec<Observation>,
    /// All attempts in the ledgers of the scenario's pods whose call id belongs to this probe.
    pub attempts: Vec<Attempt>,
    pub pods: Pods,
    /// Envoy response flags by call id, from the access log that the expectation names.
    pub flags: BTreeMap<String, String>,
    /// Pods that answered and were gone, with their ledger, before it could be read: scaled down or restarted on purpose.
    pub departed: BTreeSet<String>,
    /// Which pod answered which key in the run that `moved` compares with.
    pub before: Option<Owners>,
    /// Serial numbers of the certificates that the scenario made, by name.
    pub certificates: BTreeMap<String, String>,
    /// When our own side did not run.
    pub stalls: Stalls,
    /// Pod that was kept busy by a background probe.
    pub busy_pod: Option<String>,
    /// The run was cut short once every sequential matcher had decided: calls in flight were given up by us.
    pub stopped_early: bool,
    /// What proxies logged, counted and reported.
    pub telemetry: Telemetry,
    /// The calls lead from a caller without a proxy straight to their server.
    pub plain: bool,
    /// What proxies on the way say of the calls; only there when a check is to be explained by it.
    pub logged: Logged,
}

/// First value of a metadata key in headers or trailers (HTTP/2 field names are lower case on the wire).
pub fn metadata<'a>(call: &'a Observation, key: &str) -> Option<&'a str> {
    find(&call.headers, key).or_else(|| find(&call.trailers, key))
}

/// First value of a key, without regard to case.
pub fn find<'a>(fields: &'a [(String, String)], key: &str) -> Option<&'a str> {
    fields
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(key))
        .map(|(_, value)| value.as_str())
}

/// Pod of the application that answered; `None`: no application did.
pub fn pod(call: &Observation) -> Option<&str> {
    metadata(call, SERVER_HEADER)
}

/// Workload of the application that answered.
pub fn workload(call: &Observation) -> Option<&str> {
    metadata(call, WORKLOAD_HEADER)
}

/// The caller gave up by its own limit: such a call says nothing of the mesh.
pub fn given_up(call: &Observation) -> bool {
    call.status.origin == Origin::ClientPatience
}

/// The largest set of pods that holds `pod`: with several workloads behind one `app`, all of the `app`.
pub fn peers<'a>(pods: &'a Pods, pod: &str) -> Option<&'a [String]> {
    pods.values()
        .filter(|set| set.iter().any(|member| member == pod))
        .max_by_key(|set| set.len())
        .map(Vec::as_slice)
}
