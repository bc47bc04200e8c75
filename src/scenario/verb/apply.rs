//! `apply`: applies configuration and waits until it has propagated.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::{Around, Before, Fate, File, Limit, Mistake, Verb};

/// `<behaviour>.<name>.yaml` beside the scenario.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, description = "")]
pub struct Apply(pub String);

impl Verb for Apply {
    const NAME: &'static str = "apply";
    const DOC: &'static str = "Apply `<behaviour>.<name>.yaml` beside the scenario; returns when every affected proxy has it.";
    const FORM: &'static str = "`apply: NAME`";
    const DOES: &'static str = "applies a file, its documents in order; returns when every affected proxy has it, and the pods of its Deployments, StatefulSets, DaemonSets, Jobs and Pods are ready (ERROR with the pod's own reason when they cannot become ready)";

    fn describe(&self) -> String {
        format!(
            "apply {} and wait until every affected proxy has it",
            self.0
        )
    }

    fn file(&self) -> Option<File<'_>> {
        Some(File {
            field: "",
            name: &self.0,
            fate: Fate::Taken,
        })
    }

    fn mistakes(&self, before: &Before, _: &Around<'_>) -> Vec<Mistake> {
        if !before.applied.contains(&self.0) {
            return Vec::new();
        }
        vec![Mistake::value(
            "",
            format!("'{}' is applied twice", self.0),
            "delete it first, or put the second state into a separate file",
        )]
    }

    fn leaves(&self, before: &mut Before) {
        before.applied.insert(self.0.clone());
    }

    fn limits(&self) -> Vec<Limit<'_>> {
        vec![Limit::File("", &self.0)]
    }
}
