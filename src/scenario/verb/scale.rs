//! `scale`: adds or removes pods.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::{Limit, Verb};

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scale {
    pub workload: String,
    pub replicas: u32,
}

impl Verb for Scale {
    const NAME: &'static str = "scale";
    const DOC: &'static str = "Scale a workload; returns when its pods are ready (or gone) and every proxy has the endpoints.";
    const FORM: &'static str = "`scale: {workload, replicas}`";
    const DOES: &'static str = "returns when the pods are ready (or gone), istiod has seen the change, and every proxy has the endpoints that istiod has for it; the workload file must contain a Deployment, a StatefulSet or a ReplicaSet";

    fn describe(&self) -> String {
        format!("scale {} to {}", self.workload, self.replicas)
    }

    fn workloads(&self) -> Vec<(&'static str, &str)> {
        vec![("workload", &self.workload)]
    }

    fn limits(&self) -> Vec<Limit<'_>> {
        vec![Limit::Pods("replicas", "replicas", self.replicas)]
    }
}
