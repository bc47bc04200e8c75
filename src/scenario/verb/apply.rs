//! `apply`: configuration for everybody it concerns.

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
    const DOC: &'static str = "Apply `<behaviour>.<name>.yaml` beside the scenario; returns when every proxy concerned has it.";
    const FORM: &'static str = "`apply: NAME`";
    const DOES: &'static str = "applies a file, its documents in their order; returns when every proxy concerned has it, and the pods of its Deployments, StatefulSets, DaemonSets, Jobs and Pods are ready (ERROR with the pod's own reason when they cannot be)";

    fn describe(&self) -> String {
        format!(
            "apply {} and wait until every proxy concerned has it",
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
            "delete it first, or write the second state into a file of its own",
        )]
    }

    fn leaves(&self, before: &mut Before) {
        before.applied.insert(self.0.clone());
    }

    fn limits(&self) -> Vec<Limit<'_>> {
        vec![Limit::File("", &self.0)]
    }
}
