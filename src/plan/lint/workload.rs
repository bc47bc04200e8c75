//! What a workload file needs so that a scenario can count, scale and restart its pods.

use crate::{
    scenario::{finding::Finding, loaded::LoadedScenario},
    yaml,
};

/// A DaemonSet has one pod per node of the target: a scenario cannot know how many answer.
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
                let message = "a DaemonSet runs one pod per node, so the number of pods that answer is unknown";
                let help = "make it a Deployment or a StatefulSet with `replicas:`";
                let position = document.places.value("kind");
                findings.push(Finding::new(&file.file, &text, position, message, help));
            }
        }
    }
}
