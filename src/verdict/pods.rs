//! The pods of a scenario, by name.

use std::collections::BTreeMap;

/// Pods by workload name and by `app` label. Both kinds of key may be present.
pub type Pods = BTreeMap<String, Vec<String>>;

/// What a sequential test knows about the pods in advance.
#[derive(Debug, Clone, Copy)]
pub struct World<'a> {
    pub pods: &'a Pods,
    /// The pod that a background probe keeps busy.
    pub busy: Option<&'a str>,
}

/// The largest set of pods that contains `pod`: if several workloads share an `app`, all pods of
/// the `app`.
pub fn peers<'a>(pods: &'a Pods, pod: &str) -> Option<&'a [String]> {
    pods.values()
        .filter(|set| set.iter().any(|member| member == pod))
        .max_by_key(|set| set.len())
        .map(Vec::as_slice)
}
