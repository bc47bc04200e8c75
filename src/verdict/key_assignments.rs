//! Which pod answered which key.

use std::collections::BTreeMap;

use testbed::control::Observation;

use super::{
    answer,
    pods::{self, Pods},
};

/// Which pod answered which value of each `per-call` key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyAssignments {
    pub(super) by_key: BTreeMap<String, BTreeMap<String, String>>,
    /// The number of pods that could have answered.
    pub(super) pods: u64,
}

impl KeyAssignments {
    /// Built from calls that applications answered. Of several calls with one value, the last
    /// counts.
    pub fn of<'a>(calls: impl IntoIterator<Item = &'a Observation>, pods: &Pods) -> Self {
        let mut owners = Self::default();
        for call in calls {
            let Some(pod) = answer::pod(call) else {
                continue;
            };
            let peers = pods::peers(pods, pod).map_or(0, <[String]>::len) as u64;
            owners.pods = owners.pods.max(peers);
            for (key, value) in &call.own {
                let values = owners.by_key.entry(key.clone()).or_default();
                values.insert(value.clone(), pod.to_owned());
            }
        }
        owners
    }

    /// Whether no call carried `per-call` metadata.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}
