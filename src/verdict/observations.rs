//! What was observed in one run of a probe: the client's calls and the servers' ledgers.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    answer::is_own, gathered::Telemetry, key_assignments::KeyAssignments, logged::Logged,
    pods::Pods, producer::Way, stall::Stalls,
};
use testbed::control::{Attempt, Observation};

/// Everything on which a verdict may be based.
#[derive(Debug, Clone, Default)]
pub struct Observations {
    /// Calls in the order in which they ended.
    pub calls: Vec<Observation>,
    /// All attempts in the ledgers of the scenario's pods whose call id belongs to this probe.
    pub attempts: Vec<Attempt>,
    pub pods: Pods,
    /// Envoy response flags by call id, from the access log that the expectation names.
    pub flags: BTreeMap<String, String>,
    /// The scenario's namespace. A pod of another namespace must not answer.
    pub namespace: String,
    /// Uids of pods of the scenario that are gone together with their ledgers, because a step
    /// scaled or restarted the workload.
    pub departed: BTreeSet<String>,
    /// Which pod answered which key in the run that `remapped` compares with.
    pub before: Option<KeyAssignments>,
    /// Serial numbers of the certificates that the scenario created, by name.
    pub certificates: BTreeMap<String, String>,
    /// Proxies between the caller and the servers.
    pub way: Way,
    /// When the caller or the harness did not run.
    pub stalls: Stalls,
    /// The pod that a background probe kept busy.
    pub busy_pod: Option<String>,
    /// The run was stopped early because every sequential matcher had decided: meshproof abandoned
    /// the calls in flight.
    pub stopped_early: bool,
    /// What proxies logged, counted and reported.
    pub telemetry: Telemetry,
    /// What proxies logged about the calls; only collected to explain an unexpected check.
    pub logged: Logged,
}

impl Observations {
    /// Calls that no pod of another namespace answered.
    pub fn own(&self) -> impl Iterator<Item = &Observation> {
        let own = |call: &&Observation| is_own(call, &self.namespace);
        self.calls.iter().filter(own)
    }
}
