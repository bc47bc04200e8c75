//! The typed suite file: what an author may write. Parsing with positions is in `scenario::parse`, rules across fields in `plan::lint`.

pub mod change;
pub mod stream;
pub mod tls;
pub mod versus;
pub mod web;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use super::model::{
    change::{Await, Churn, Finish, Health, Ready, Tell},
    stream::Stream,
};
use super::{
    model::{
        tls::{Certificate, Refused, Tls},
        versus::Versus,
        web::{Browser, Http, Web},
    },
    values::Values,
};
pub use crate::verdict::matcher::Expect;

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
    /// Capabilities of mesh or target; a missing one makes the verdict SKIP with that word as the reason.
    #[serde(default)]
    pub needs: Vec<String>,
    /// It touches what all share (the control plane), so nothing else runs beside it.
    #[serde(default)]
    pub alone: bool,
    /// Free labels for `-l`.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Workloads that the scenario's namespace holds.
    pub world: Vec<Workload>,
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
    /// Name of the Deployment, of its `app` label and (unless `service` says otherwise) of its Service.
    pub name: String,
    /// `<uses>.yaml` beside the scenario, else in `fixtures/workloads`.
    pub uses: String,
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
            uses: uses.to_owned(),
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

/// A call, how often and from where, and what must be seen.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Probe {
    /// `package.Service/Method`. May be left out beside `http` with a path of its own.
    #[serde(default)]
    pub call: String,
    /// Write the call as gRPC-Web.
    #[serde(default)]
    pub web: Option<Web>,
    /// Send a plain HTTP request in its place.
    #[serde(default)]
    pub http: Option<Http>,
    /// Let a page in a real browser call instead of a workload.
    #[serde(default)]
    pub browser: Option<Browser>,
    /// Workload whose pod calls; it must use a caller. Left out beside `browser`.
    #[serde(default)]
    pub from: String,
    /// `host:port` as the client writes it, or `gateway` / `gateway:PORT` for the ingress gateway.
    pub to: String,
    /// `:authority`; `${host}` is the scenario's own external host.
    #[serde(default)]
    pub authority: Option<String>,
    /// One request message, or the list of messages of a client stream.
    #[serde(default)]
    pub send: Value,
    /// Request metadata; a list sends the key once for each value. Values of keys that end in `-bin` are base64.
    #[serde(default)]
    pub metadata: BTreeMap<String, Values>,
    /// Request metadata that takes so many values in turn over the calls: `KEY-0`, `KEY-1`, … and from the start again.
    #[serde(default)]
    pub per_call: BTreeMap<String, u64>,
    /// What the server is told to do (`testbed::control::Script`).
    #[serde(default)]
    pub script: Option<Value>,
    /// How the client's streams run: numbered messages, pace, windows, pings.
    #[serde(default)]
    pub stream: Option<Stream>,
    /// Bytes of request metadata to add.
    #[serde(default)]
    pub pad: Option<u32>,
    #[serde(default)]
    pub deadline: Option<String>,
    /// TLS from the caller itself; without it the caller speaks plaintext.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// Number of calls; for a statistical matcher the cap (it stops as soon as it can tell).
    #[serde(default)]
    pub times: Option<u64>,
    #[serde(default = "one")]
    pub connections: u32,
    /// Calls in flight per connection.
    #[serde(default = "one")]
    pub streams: u32,
    /// Calls per second (open loop).
    #[serde(default)]
    pub rate: Option<f64>,
    /// A fresh connection for each call.
    #[serde(default)]
    pub reconnect: bool,
    /// Only multiplication there is: one run of the probe per cell, each cell a checked claim of its own.
    #[serde(default)]
    pub vary: Vec<Cell>,
    #[serde(default)]
    pub expect: Expect,
}

fn one() -> u32 {
    1
}

/// One row of a truth table: what differs from the probe, and what is expected of it instead.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Cell {
    /// Name of the row, shown in reports.
    pub cell: String,
    pub with: Override,
    /// Replaces the probe's expectation field by field.
    pub expect: Option<Expect>,
}

/// What may differ from a probe.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Override {
    pub call: Option<String>,
    pub web: Option<Web>,
    pub http: Option<Http>,
    pub browser: Option<Browser>,
    pub from: Option<String>,
    pub to: Option<String>,
    pub authority: Option<String>,
    pub send: Option<Value>,
    pub metadata: Option<BTreeMap<String, Values>>,
    pub script: Option<Value>,
    pub stream: Option<Stream>,
    pub pad: Option<u32>,
    pub deadline: Option<String>,
    pub tls: Option<Tls>,
    pub times: Option<u64>,
    pub connections: Option<u32>,
    pub streams: Option<u32>,
    pub reconnect: Option<bool>,
}

/// The closed set of verbs. Reading order is time order.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[allow(
    clippy::large_enum_variant,
    reason = "a handful of steps per file; a box would only cost readers"
)]
pub enum Step {
    /// Apply `<behaviour>.<name>.yaml` beside the scenario; returns when every proxy concerned has it.
    Apply(String),
    /// Delete what that file created; returns when no proxy has it.
    Delete(String),
    /// Run a probe; its expectation must hold.
    Probe(String),
    /// Run a probe whose expectation must be refuted.
    Contrast(Contrast),
    /// Scale a workload; returns when its pods are ready (or gone) and every proxy has the endpoints.
    Scale(Scale),
    /// Run a probe again and again until it holds.
    Converge(Converge),
    /// Keep a probe's calls running in the background from here to the end; its expectation is judged then.
    Background(String),
    /// End a background before the end, so that all its calls are complete.
    Finish(Finish),
    /// Delete the pods of a workload (or of `istiod`) one by one, as a rolling restart.
    Restart(String),
    /// Write a fresh certificate into a Secret; returns when every gateway that uses the Secret serves it.
    Certificate(Certificate),
    /// Apply a file that must be refused.
    Refused(Refused),
    /// Tell the servers of a workload what to do from here on.
    Tell(Tell),
    /// Apply and delete a file again and again: pushes that concern nobody's calls.
    Churn(Churn),
    /// So many pods of a workload become ready; a claim of its own.
    Ready(Ready),
    /// Wait for a counter of a proxy.
    Await(Await),
    /// Run two probes by turns; what one of them costs is at most a share of the other's.
    Versus(Versus),
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Contrast {
    pub probe: String,
    /// What is broken in this run of the probe.
    #[serde(default)]
    pub with: Override,
    /// Matchers that must be refuted (names of `Expect` fields); at least one. Others are not judged.
    pub refutes: Vec<String>,
    /// Only these cells of a truth table; all when absent.
    #[serde(default)]
    pub cells: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scale {
    pub workload: String,
    pub replicas: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Converge {
    pub probe: String,
    pub within: String,
}
