//! `delete`: removes what a file (or a certificate) created.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::{Around, Before, Mistake, Verb};

/// Name of the `apply`, or the Secret of the `certificate`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, description = "")]
pub struct Delete(pub String);

impl Verb for Delete {
    const NAME: &'static str = "delete";
    const DOC: &'static str = "Delete what that file created; returns when no proxy has it.";
    const FORM: &'static str = "`delete: NAME`";
    const DOES: &'static str = "deletes what that file created; returns when no proxy has it";

    fn describe(&self) -> String {
        format!("delete {} and wait until no proxy has it", self.0)
    }

    fn mistakes(&self, before: &Before, _: &Around<'_>) -> Vec<Mistake> {
        if before.applied.contains(&self.0) {
            return Vec::new();
        }
        vec![Mistake::value(
            "",
            format!("'{}' is deleted but was not applied before", self.0),
            "apply it (or create it with `certificate`) in an earlier step, or remove this step",
        )]
    }

    fn leaves(&self, before: &mut Before) {
        before.applied.remove(&self.0);
    }
}
