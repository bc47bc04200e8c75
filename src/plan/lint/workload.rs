//! What a workload's file must have so that a scenario can count, scale and restart its pods.

use crate::{
    scenario::{finding::Finding, loaded::LoadedScenario},
    yaml,
};

/// A DaemonSet has as many pods as the target has nodes: no scenario can say how many answer.
pub fn lint(loaded: &LoadedScenario, findings: &mut Vec<Finding>) {
    let mut seen = std::collections::BTreeSet::new();
    for workload in loaded
        .scenario
        .workloads
        .iter()
        .filter(|workload| seen.insert(&workload.template))
    {
        let Ok(Some(file)) = loaded.workload(&workload.template) else {
            continue;
        };
        let text: std::sync::Arc<str> = file.text.as_str().into();
        for document in yaml::documents(&file.text).unwrap_or_default() {
            if document.value["kind"] == "DaemonSet" {
                let message =
                    "a DaemonSet has a pod for each node, so that nobody knows how many answer";
                let help = "make it a Deployment or a StatefulSet with `replicas:`";
                let place = document.places.value("kind");
                findings.push(Finding::new(&file.file, &text, place, message, help));
            }
        }
    }
}
