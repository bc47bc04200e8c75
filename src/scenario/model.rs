//! The typed suite file: what an author may write. Parsing with positions is in `scenario::parse`, rules across fields in `plan::lint`.

pub mod change;
pub mod config;
pub mod stream;
pub mod telemetry;
pub mod tls;
pub mod versus;
pub mod web;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use super::model::{
    change::{Await, Churn, Finish, Health, Ready, Tell},
    stream::{Intact, Stream},
};
use super::{
    model::{
        config::EffectiveConfig,
        telemetry::{AccessLog, Counted, Diagnosis, Spans, Trace},
        tls::{Certificate, Refused, Tls, TlsExpect},
        versus::Versus,
        web::{Browser, Http, StatusIn, Web},
    },
    values::{Fields, Values},
};

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

/// What must be seen. Every field that is set is one matcher; all must hold.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Expect {
    /// gRPC status of every call, by name (`OK`, `UNAVAILABLE`) or number.
    pub status: Option<String>,
    /// Substring of `grpc-message` in every call.
    pub message: Option<String>,
    /// Who produced the status of every call.
    pub produced_by: Option<Producer>,
    /// Every pod of the workload (or `app`) answers: none is starved (coverage test).
    pub reaches_all: Option<String>,
    /// All calls of one connection are answered by one pod.
    pub pinned: Option<bool>,
    /// Calls are spread evenly over the pods of this `app` (chi-square), or cyclically when `round-robin`.
    pub spread: Option<Spread>,
    /// Share of calls per workload, e.g. `{greeter-v1: 90%, greeter-v2: 10%}` (two-sided sequential test).
    pub share: Option<BTreeMap<String, String>>,
    /// Calls with the same value of this request metadata are answered by one pod.
    pub sticky_by: Option<String>,
    /// Share of the values of a `per-call` key that another pod answers than in the last run of another probe.
    pub moved: Option<Moved>,
    /// Workload that answers every call.
    pub answered_by: Option<String>,
    /// Attempts per call that the servers counted: exact (`4`) or a range (`1..4`).
    pub attempts: Option<String>,
    /// HTTP version that the servers saw: `HTTP/2.0` or `HTTP/1.1`.
    pub upstream_protocol: Option<String>,
    /// Time from sending to the end of each call, e.g. `1.8s..2.6s`.
    pub took: Option<String>,
    /// `grpc-timeout` as the servers saw it, in the same form.
    pub server_deadline: Option<String>,
    /// Response metadata, headers and trailers together: exactly these values, in this order; `null`: must be absent.
    pub response: Option<Fields>,
    /// The same of initial metadata alone: headers, unless the answer is trailers only.
    pub initial_metadata: Option<Fields>,
    /// The same of trailing metadata alone.
    pub trailing_metadata: Option<Fields>,
    /// Request metadata as the servers saw it, in the same form.
    pub server_metadata: Option<Fields>,
    /// SPIFFE identity of the caller that the server's proxy vouches for (`x-forwarded-client-cert`); `none`: it vouches for nobody.
    pub peer_identity: Option<String>,
    /// The handshake behind every call.
    pub tls: Option<TlsExpect>,
    /// Envoy response flag in the access log of the proxy named here.
    pub response_flag: Option<ResponseFlag>,
    /// HTTP status of every answer (non-gRPC answers).
    pub http_status: Option<u16>,
    /// Where `grpc-status` stood in every answer.
    pub status_in: Option<StatusIn>,
    /// What a page's script sees of a `web` or `http` call: a gRPC status, `blocked`, or `allowed` for a preflight.
    pub page_sees: Option<String>,
    /// Messages of both directions: each once, in order, undamaged, and so many.
    pub stream: Option<Intact>,
    /// RST_STREAM that the client got: its code (`CANCEL`), or `none`.
    pub reset: Option<String>,
    /// How every attempt ended at its server: `answered`, `cancelled` (the peer reset it, or the connection broke), or `reset` (the server
    /// did, as its script says).
    pub server_end: Option<String>,
    /// PING frames that the servers got on the connections of these calls: exact (`0`) or a range (`1..`).
    pub server_pings: Option<String>,
    /// Connections over which these calls came to the servers.
    pub server_connections: Option<String>,
    /// Calls that may fail (any status but the expected), at most; 0 when absent.
    pub lost: Option<u64>,
    /// The access log of a proxy about each call.
    pub access_log: Option<AccessLog>,
    /// Growth of a proxy's counters, against the ledgers.
    pub counted: Option<Counted>,
    /// Trace context as the servers saw it.
    pub trace: Option<Trace>,
    /// Spans of each call at a collector.
    pub spans: Option<Spans>,
    /// What the mesh's own tool says of a workload.
    pub diagnosis: Option<Diagnosis>,
    /// A share of the calls (`1%`) that breaks one of the exact matchers is missed at the rate beta at most: sets the number of calls.
    pub detects: Option<String>,
    /// Fields of the effective configuration of the hop that took each call.
    pub config: Option<EffectiveConfig>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Producer {
    Application,
    /// The server's sidecar, also when it is the only proxy.
    FarProxy,
    /// The client's sidecar or the gateway.
    NearProxy,
    Client,
    /// Some proxy, when near and far can't be told apart by this probe.
    Proxy,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Spread {
    pub over: String,
    #[serde(default)]
    pub policy: SpreadPolicy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SpreadPolicy {
    /// Even shares in the long run.
    #[default]
    Even,
    /// Strict cycle on one connection.
    RoundRobin,
    /// Independent draws: neither cyclic nor starved.
    Random,
    /// A pod kept busy gets fewer than an even share.
    AvoidsBusy,
}

/// Which keys changed their pod between two probes, e.g. before and after `scale`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Moved {
    /// Metadata that both probes have in `per-call`.
    pub key: String,
    /// Probe whose last run in this scenario is compared with.
    pub since: String,
    /// At most this share of the values moved, e.g. `55%`.
    pub at_most: String,
    /// At least this share moved: a new pod gets its part.
    #[serde(default)]
    pub at_least: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ResponseFlag {
    /// Workload whose sidecar logs, or `gateway`.
    pub at: String,
    /// Envoy's short flag: `NR`, `UH`, `UF`, `UO`, …; `-` for none.
    pub flag: String,
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
