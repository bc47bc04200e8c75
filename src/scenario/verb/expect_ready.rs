//! `expect-ready`: a claim about the readiness of pods.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::{Limit, Verb};

/// A claim: this number of pods of a workload becomes ready.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ExpectReady {
    pub workload: String,
    pub pods: u32,
    pub within: String,
}

impl Verb for ExpectReady {
    const NAME: &'static str = "expect-ready";
    const DOC: &'static str = "Expect this number of pods of a workload to become ready.";
    const FORM: &'static str = "`expect-ready: {workload, pods, within}`";
    const DOES: &'static str = "a claim: this number of pods of the workload becomes ready";

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
