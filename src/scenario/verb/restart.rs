//! `restart`: pods are replaced one by one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::{Around, Before, Mistake, Verb};

/// A workload, or [`ISTIOD`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, description = "")]
pub struct Restart(pub String);

/// The control plane instead of a workload of the scenario.
pub const ISTIOD: &str = "istiod";

impl Verb for Restart {
    const NAME: &'static str = "restart";
    const DOC: &'static str =
        "Delete the pods of a workload (or of `istiod`) one by one, like a rolling restart.";
    const FORM: &'static str = "`restart: WORKLOAD`";
    const DOES: &'static str = "deletes its pods one by one; `restart: istiod` replaces the control plane and needs `serial: true`";

    fn describe(&self) -> String {
        format!("restart the pods of {} one by one", self.0)
    }

    fn workloads(&self) -> Vec<(&'static str, &str)> {
        match self.0.as_str() {
            ISTIOD => Vec::new(),
            workload => vec![("", workload)],
        }
    }

    fn mistakes(&self, _: &Before, around: &Around<'_>) -> Vec<Mistake> {
        if self.0 != ISTIOD || around.serial {
            return Vec::new();
        }
        vec![Mistake::value(
            "",
            "istiod restarts while other scenarios run",
            "add `serial: true`: every scenario depends on the control plane",
        )]
    }
}
