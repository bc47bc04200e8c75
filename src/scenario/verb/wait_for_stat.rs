//! `wait-for-stat`: waits until a counter of a proxy grows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::{Limit, Verb};

/// Waits for a proxy's counter; the verdict is ERROR when the value is not reached in time.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WaitForStat {
    /// Workload whose sidecars are queried.
    pub at: String,
    /// Regular expression over the names of Envoy's statistics; matching values are summed over the
    /// workload's pods.
    pub stat: String,
    /// Increase since the start of this step; with `from-zero`, the absolute value.
    pub at_least: u64,
    #[serde(default)]
    pub from_zero: bool,
    pub within: String,
}

impl Verb for WaitForStat {
    const NAME: &'static str = "wait-for-stat";
    const DOC: &'static str = "Wait until a proxy's counter reaches a value.";
    const FORM: &'static str = "`wait-for-stat: {at, stat, at-least, within, from-zero}`";
    const DOES: &'static str = "waits until the Envoy statistics whose names match have grown by `at-least` at a workload's sidecars; ERROR when they have not";

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
