//! A scenario as written in its file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::probe::Probe;
use crate::scenario::verb::Step;

/// One behaviour and how it is verified.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    /// The claim, a sentence that can be false.
    pub title: String,
    /// Why users of the mesh rely on it, and how the mesh may differ from what they expect.
    pub why: String,
    /// Sources of the expectation: a specification, an Envoy or Istio document or source file.
    pub source: Vec<String>,
    /// Ids of the requirements that this scenario proves.
    #[serde(default)]
    pub proves: Vec<String>,
    #[serde(default)]
    pub level: Level,
    /// Capabilities that the mesh or the target must have; if one is missing, the verdict is SKIP
    /// and names it as the reason.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Run no other scenario at the same time: this one changes shared parts (the control plane).
    #[serde(default)]
    pub serial: bool,
    /// Labels for selection with `-l`.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Workloads in the scenario's namespace.
    pub workloads: Vec<Workload>,
    /// Calls with their expected outcome, by name; steps refer to them.
    pub probes: BTreeMap<String, Probe>,
    pub steps: Vec<Step>,
    /// Why no contrast is possible. Exactly one of this and a `contrast` step must be present.
    #[serde(default)]
    pub no_contrast: Option<String>,
}

/// Support level of the behaviour in a conformant mesh (Gateway API's terms).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    #[default]
    Core,
    Extended,
    Provisional,
}

/// One workload: plain Kubernetes YAML by name, with the few fields that scenarios vary.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Workload {
    /// Name of the Deployment and, unless `app` is set, of its `app` label and its Service.
    pub name: String,
    /// `<template>.yaml` beside the scenario, else in `fixtures/workloads`.
    pub template: String,
    #[serde(default)]
    pub replicas: Option<u32>,
    /// Overrides the sidecar injection label of the pod template.
    #[serde(default)]
    pub sidecar: Option<bool>,
    /// `version` label of the pods, for subsets.
    #[serde(default)]
    pub version: Option<String>,
    /// `app` label of the pods: workloads with the same `app` share one Service.
    #[serde(default)]
    pub app: Option<String>,
    /// Extra pod annotations, e.g. Istio's.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// Extra arguments of the first container, appended to its own.
    #[serde(default)]
    pub args: Vec<String>,
    /// `replicas` in the workload file.
    #[serde(skip)]
    pub in_file: Option<u32>,
}

impl Workload {
    /// Whether its pods have a proxy, as far as the scenario and the names of the shared workload
    /// files tell.
    pub fn has_proxy(&self) -> bool {
        let usual = || matches!(self.template.as_str(), "caller" | "gateway");
        self.sidecar.unwrap_or_else(usual)
    }

    /// A workload with this name that changes nothing in its template.
    pub fn named(name: &str, template: &str) -> Self {
        Self {
            name: name.to_owned(),
            template: template.to_owned(),
            replicas: None,
            sidecar: None,
            version: None,
            app: None,
            annotations: BTreeMap::new(),
            args: Vec::new(),
            in_file: None,
        }
    }

    /// Initial number of pods: from the scenario, else from the workload file, else one.
    pub fn pods(&self) -> u32 {
        self.replicas.or(self.in_file).unwrap_or(1)
    }
}
