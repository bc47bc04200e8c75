//! A scenario as its file has it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::probe::Probe;
use crate::scenario::verb::Step;

/// One behaviour and how it is shown.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    /// A claim that can be false.
    pub title: String,
    /// Why a user of the mesh relies on it, and where belief and mesh differ.
    pub why: String,
    /// Where the expectation comes from: specification, Envoy or Istio document or source file.
    pub source: Vec<String>,
    /// Row ids of the requirements this scenario proves.
    #[serde(default)]
    pub proves: Vec<String>,
    #[serde(default)]
    pub level: Level,
    /// Capabilities of mesh or target; a missing one makes the verdict SKIP with that word as the
    /// reason.
    #[serde(default)]
    pub needs: Vec<String>,
    /// It touches what all share (the control plane), so nothing else runs beside it.
    #[serde(default)]
    pub serial: bool,
    /// Free labels for `-l`.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Workloads that the scenario's namespace holds.
    pub workloads: Vec<Workload>,
    /// Named calls with what is expected of them; steps refer to them.
    pub probes: BTreeMap<String, Probe>,
    pub steps: Vec<Step>,
    /// Why no contrast is possible. Exactly one of this and a `contrast` step must be there.
    #[serde(default)]
    pub no_contrast: Option<String>,
}

/// How much of a conformant mesh needs it (Gateway API's words).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    #[default]
    Core,
    Extended,
    Provisional,
}

/// One workload: plain Kubernetes YAML by name, with the few things that scenarios vary.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Workload {
    /// Name of the Deployment, of its `app` label and (unless `service` says otherwise) of its
    /// Service.
    pub name: String,
    /// `<uses>.yaml` beside the scenario, else in `fixtures/workloads`.
    pub template: String,
    #[serde(default)]
    pub replicas: Option<u32>,
    /// Overrides the sidecar injection label of the pod template.
    #[serde(default)]
    pub sidecar: Option<bool>,
    /// `version` label of the pods (subsets select by it).
    #[serde(default)]
    pub version: Option<String>,
    /// `app` label: several workloads with one `app` stand behind one Service.
    #[serde(default)]
    pub app: Option<String>,
    /// Extra pod annotations, e.g. Istio's own.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// Extra arguments of the first container, after its own.
    #[serde(default)]
    pub args: Vec<String>,
    /// What the workload's file says of `replicas`.
    #[serde(skip)]
    pub in_file: Option<u32>,
}

impl Workload {
    /// A workload as its file has it, under a name.
    pub fn named(name: &str, uses: &str) -> Self {
        Self {
            name: name.to_owned(),
            template: uses.to_owned(),
            replicas: None,
            sidecar: None,
            version: None,
            app: None,
            annotations: BTreeMap::new(),
            args: Vec::new(),
            in_file: None,
        }
    }

    /// Pods that it begins with: as the scenario says, else as its file does, else one.
    pub fn pods(&self) -> u32 {
        self.replicas.or(self.in_file).unwrap_or(1)
    }
}
