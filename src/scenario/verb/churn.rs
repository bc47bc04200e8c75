//! `churn`: configuration that is applied and deleted repeatedly.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::{Fate, File, Limit, Verb};

/// Configuration that is applied and deleted repeatedly, so that every proxy gets many pushes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Churn {
    /// File that is alternately applied and deleted.
    pub apply: String,
    /// Number of pushes; each is awaited at every proxy.
    pub times: u32,
}

impl Verb for Churn {
    const NAME: &'static str = "churn";
    const DOC: &'static str = "Apply and delete a file repeatedly: pushes that affect no calls.";
    const FORM: &'static str = "`churn: {apply, times}`";
    const DOES: &'static str =
        "alternately applies and deletes a file; each push is awaited at every proxy";

    fn describe(&self) -> String {
        format!(
            "alternately apply and delete {}, {} pushes",
            self.apply, self.times
        )
    }

    fn file(&self) -> Option<File<'_>> {
        Some(File {
            field: "apply",
            name: &self.apply,
            fate: Fate::Taken,
        })
    }

    fn limits(&self) -> Vec<Limit<'_>> {
        vec![
            Limit::File("apply", &self.apply),
            Limit::Rounds("times", "pushes", self.times),
        ]
    }
}
