//! What was observed of one run of a probe: the client's calls and the servers' ledgers side by
//! side.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    answer::stranger, gathered::Telemetry, key_assignments::KeyAssignments, logged::Logged,
    pods::Pods, producer::Way, stall::Stalls,
};
use testbed::control::{Attempt, Observation};

/// Everything that a verdict may rest on.
#[derive(Debug, Clone, Default)]
pub struct Observations {
    /// Calls in the order in which they ended.
    pub calls: Vec<Observation>,
    /// All attempts in the ledgers of the scenario's pods whose call id belongs to this probe.
    pub attempts: Vec<Attempt>,
    pub pods: Pods,
    /// Envoy response flags by call id, from the access log that the expectation names.
    pub flags: BTreeMap<String, String>,
    /// Namespace of the scenario: what answers from another one is a stranger.
    pub namespace: String,
    /// Uids of pods of the scenario that are gone, and their ledger with them: scaled down or
    /// restarted on purpose.
    pub departed: BTreeSet<String>,
    /// Which pod answered which key in the run that `moved` compares with.
    pub before: Option<KeyAssignments>,
    /// Serial numbers of the certificates that the scenario made, by name.
    pub certificates: BTreeMap<String, String>,
    /// Proxies between the caller and the servers.
    pub way: Way,
    /// When our own side did not run.
    pub stalls: Stalls,
    /// Pod that was kept busy by a background probe.
    pub busy_pod: Option<String>,
    /// The run was cut short once every sequential matcher had decided: calls in flight were given
    /// up by us.
    pub stopped_early: bool,
    /// What proxies logged, counted and reported.
    pub telemetry: Telemetry,
    /// What proxies on the way say of the calls; only there when a check is to be explained by it.
    pub logged: Logged,
}

impl Observations {
    /// Calls that no stranger answered.
    pub fn own(&self) -> impl Iterator<Item = &Observation> {
        let ours = |call: &&Observation| stranger(call, &self.namespace).is_none();
        self.calls.iter().filter(ours)
    }
}
