//! `expect-ready`: a claim about the readiness of pods.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::{Limit, Verb};

/// A claim: so many pods of a workload become ready.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ExpectReady {
    pub workload: String,
    pub pods: u32,
    pub within: String,
}

impl Verb for ExpectReady {
    const NAME: &'static str = "expect-ready";
    const DOC: &'static str = "So many pods of a workload become ready; a claim of its own.";
    const FORM: &'static str = "`expect-ready: {workload, pods, within}`";
    const DOES: &'static str = "a claim: so many pods of the workload become ready";

    fn describe(&self) -> String {
        format!(
            "{} pod(s) of {} become ready within {}",
            self.pods, self.workload, self.within
        )
    }

    fn workloads(&self) -> Vec<(&'static str, &str)> {
        vec![("workload", &self.workload)]
    }

    fn limits(&self) -> Vec<Limit<'_>> {
        vec![
            Limit::Pods("pods", "pods", self.pods),
            Limit::Time("within", &self.within),
        ]
    }
}
