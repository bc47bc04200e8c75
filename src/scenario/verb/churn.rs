//! `churn`: configuration comes and goes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::{Fate, File, Limit, Verb};

/// Configuration that comes and goes, so that every proxy here gets push after push.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Churn {
    /// File that is applied, deleted, applied again, …
    pub apply: String,
    /// Pushes, each awaited at every proxy.
    pub times: u32,
}

impl Verb for Churn {
    const NAME: &'static str = "churn";
    const DOC: &'static str =
        "Apply and delete a file again and again: pushes that concern nobody's calls.";
    const FORM: &'static str = "`churn: {apply, times}`";
    const DOES: &'static str =
        "applies and deletes a file by turns; each of the pushes is awaited at every proxy";

    fn describe(&self) -> String {
        format!(
            "apply and delete {} by turns, {} pushes",
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
