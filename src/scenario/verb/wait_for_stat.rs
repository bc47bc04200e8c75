//! `wait-for-stat`: a counter of a proxy grows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::{Limit, Verb};

/// Waits for a proxy's counter; when it does not come, nothing can be said (ERROR).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WaitForStat {
    /// Workload whose sidecars are asked.
    pub at: String,
    /// Regular expression over the names of Envoy's statistics; what it matches is added up over
    /// the workload's pods.
    pub stat: String,
    /// Grown by so much since this step began, or so large when `from-zero`.
    pub at_least: u64,
    #[serde(default)]
    pub from_zero: bool,
    pub within: String,
}

impl Verb for WaitForStat {
    const NAME: &'static str = "wait-for-stat";
    const DOC: &'static str = "Wait for a counter of a proxy.";
    const FORM: &'static str = "`wait-for-stat: {at, stat, at-least, within, from-zero}`";
    const DOES: &'static str = "waits until Envoy's statistics whose names match have grown by so much at a workload's sidecars; ERROR when they don't";

    fn describe(&self) -> String {
        format!(
            "wait at most {} until {} at {} is {} or more",
            self.within, self.stat, self.at, self.at_least
        )
    }

    fn workloads(&self) -> Vec<(&'static str, &str)> {
        vec![("at", &self.at)]
    }

    fn limits(&self) -> Vec<Limit<'_>> {
        vec![Limit::Time("within", &self.within)]
    }
}
