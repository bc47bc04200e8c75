//! What was observed of one run of a probe: the client's calls and the servers' ledgers side by side.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    fields, moved::Owners, producer::Way, stall::Stalls, telemetry::Telemetry, why::Logged,
};
use testbed::control::{Attempt, Observation, Origin, POD_HEADER, SERVER_HEADER, WORKLOAD_HEADER};

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
    /// Namespace of the scenario: what answers from another one is a stranger.
    pub namespace: String,
    /// Uids of pods of the scenario that are gone, and their ledger with them: scaled down or restarted on purpose.
    pub departed: BTreeSet<String>,
    /// Which pod answered which key in the run that `moved` compares with.
    pub before: Option<Owners>,
    /// Serial numbers of the certificates that the scenario made, by name.
    pub certificates: BTreeMap<String, String>,
    /// Proxies between the caller and the servers.
    pub way: Way,
    /// When our own side did not run.
    pub stalls: Stalls,
    /// Pod that was kept busy by a background probe.
    pub busy_pod: Option<String>,
    /// The run was cut short once every sequential matcher had decided: calls in flight were given up by us.
    pub stopped_early: bool,
    /// What proxies logged, counted and reported.
    pub telemetry: Telemetry,
    /// What proxies on the way say of the calls; only there when a check is to be explained by it.
    pub logged: Logged,
}

/// A pod as the cluster knows it, for all time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity<'a> {
    pub namespace: &'a str,
    pub uid: &'a str,
}

impl Seen {
    /// Calls that no stranger answered.
    pub fn own(&self) -> impl Iterator<Item = &Observation> {
        let ours = |call: &&Observation| stranger(call, &self.namespace).is_none();
        self.calls.iter().filter(ours)
    }
}

/// First value of a key that only the test bed's own server writes, among headers or trailers.
pub fn mark<'a>(call: &'a Observation, key: &str) -> Option<&'a str> {
    let all = fields::all(&call.headers, key);
    let all = all.first().copied();
    all.or_else(|| fields::all(&call.trailers, key).first().copied())
}

/// Pod of the application that answered; `None`: no application did.
pub fn pod(call: &Observation) -> Option<&str> {
    mark(call, SERVER_HEADER)
}

/// Identity of the pod that answered; `None`: no application did, or one that was not told who it is.
pub fn identity(call: &Observation) -> Option<Identity<'_>> {
    let (namespace, uid) = mark(call, POD_HEADER)?.split_once('/')?;
    Some(Identity { namespace, uid })
}

/// The pod of another namespace that answered, in words.
pub fn stranger(call: &Observation, namespace: &str) -> Option<String> {
    let other = identity(call).filter(|other| other.namespace != namespace)?;
    let pod = pod(call).unwrap_or("unnamed");
    Some(format!("{}/{pod} (uid {})", other.namespace, other.uid))
}

/// Workload of the application that answered.
pub fn workload(call: &Observation) -> Option<&str> {
    mark(call, WORKLOAD_HEADER)
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
