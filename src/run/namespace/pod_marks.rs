//! What must not change in the pods that scenarios share.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde::{Deserialize, Serialize};

/// One pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodMark {
    name: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    restarts: i32,
}

/// Pods, by uid.
pub type PodMarks = BTreeMap<String, PodMark>;

/// A pod that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("pod {pod} {what}")]
pub struct Changed {
    pub pod: String,
    pub what: &'static str,
}

/// The marks of all pods.
pub fn marks(pods: &[Pod]) -> PodMarks {
    let mark = |pod: &Pod| {
        let status = pod.status.as_ref();
        let containers = status.and_then(|status| status.container_statuses.as_ref());
        let restarts = containers
            .into_iter()
            .flatten()
            .map(|one| one.restart_count);
        PodMark {
            name: pod.name_any(),
            labels: pod.labels().clone(),
            annotations: pod.annotations().clone(),
            restarts: restarts.sum(),
        }
    };
    pods.iter()
        .map(|pod| (pod.uid().unwrap_or_default(), mark(pod)))
        .collect()
}

/// # Errors
/// The first pod that is not as it was.
pub fn compare(before: &PodMarks, now: &PodMarks) -> Result<(), Changed> {
    let changed = |pod: &PodMark, what| {
        let pod = pod.name.clone();
        Err(Changed { pod, what })
    };
    for (uid, then) in before {
        match now.get(uid) {
            None => return changed(then, "is gone"),
            Some(now) if now.restarts != then.restarts => return changed(now, "was restarted"),
            Some(now) if now.labels != then.labels => return changed(now, "has other labels"),
            Some(now) if now.annotations != then.annotations => {
                return changed(now, "has other annotations");
            }
            Some(_) => {}
        }
    }
    let mut further = now.iter().filter(|(uid, _)| !before.contains_key(*uid));
    match further.next() {
        Some((_, pod)) => changed(pod, "was added"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(uid: &str, version: &str, restarts: u32, note: &str) -> Pod {
        let pod = json!({
            "metadata": {"name": format!("pod-{uid}"), "uid": uid, "labels": {"version": version},
                "annotations": {"note": note}},
            "status": {"containerStatuses": [{"name": "a", "image": "i", "imageID": "i",
                "ready": true, "restartCount": restarts}]},
        });
        serde_json::from_value(pod).expect("a pod")
    }

    #[rstest::rstest]
    #[case::same(&[pod("1", "v1", 0, "a")], None)]
    #[case::labels(&[pod("1", "v2", 0, "a")], Some("pod pod-1 has other labels"))]
    #[case::annotations(&[pod("1", "v1", 0, "b")], Some("pod pod-1 has other annotations"))]
    #[case::restarted(&[pod("1", "v1", 1, "a")], Some("pod pod-1 was restarted"))]
    #[case::gone(&[], Some("pod pod-1 is gone"))]
    #[case::replaced(&[pod("2", "v1", 0, "a")], Some("pod pod-1 is gone"))]
    #[case::added(&[pod("1", "v1", 0, "a"), pod("2", "v1", 0, "a")], Some("pod pod-2 was added"))]
    fn every_change_of_a_pod_is_noticed(#[case] now: &[Pod], #[case] expected: Option<&str>) {
        let before = marks(&[pod("1", "v1", 0, "a")]);
        let seen = compare(&before, &marks(now)).err();
        assert_eq!(seen.map(|error| error.to_string()).as_deref(), expected);
    }
}
