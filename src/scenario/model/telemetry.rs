//! What is expected of telemetry: access logs, counters, trace context, spans, and the mesh's own diagnosis.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the access log of a proxy says of each call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AccessLog {
    /// Workload whose sidecar logs, or `gateway`.
    pub at: String,
    /// Fields of the JSON line as text; `null`: must be absent or empty. None: a line is enough.
    #[serde(default)]
    pub fields: BTreeMap<String, Option<String>>,
    /// No call has a line there.
    #[serde(default)]
    pub absent: bool,
}

/// By how much counters of a proxy grew while the calls ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Counted {
    /// Workload whose sidecar counts, or `gateway`.
    pub at: String,
    /// Names of Envoy's counters, `*` for any part, and what the sum of those must equal.
    pub counters: BTreeMap<String, Quantity>,
}

/// A number out of the ledgers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// Calls that the client made.
    Calls,
    /// Attempts that the servers counted.
    Attempts,
    /// Attempts beyond the first of each call.
    Retries,
    /// Calls that ended OK.
    Ok,
    /// Calls that ended otherwise.
    Failed,
    /// Nothing.
    Zero,
    /// So many, whatever the ledgers say.
    #[serde(untagged)]
    Number(u64),
}

/// Trace context as every attempt carried it to the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Trace {
    pub header: TraceHeader,
    /// Trace id that must arrive; any when absent.
    #[serde(default)]
    pub id: Option<String>,
    /// Span id that the client sent: the server must see another one, since a proxy's span is between.
    #[serde(default)]
    pub client_span: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TraceHeader {
    /// `traceparent` (W3C Trace Context).
    W3c,
    /// `x-b3-traceid` and `x-b3-spanid` (B3, several headers).
    B3,
}

/// Spans that a collector received of each call, found by the trace id that the servers saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Spans {
    /// Workload that collects.
    pub at: String,
    pub header: TraceHeader,
    /// Workloads whose sidecars must each have reported a span.
    pub from: Vec<String>,
    /// Tags of each of these spans; `null`: must be absent.
    #[serde(default)]
    pub tags: BTreeMap<String, Option<String>>,
    /// Share of the calls that have spans; all when absent, none with `0%`.
    #[serde(default)]
    pub sampled: Option<String>,
}

/// What `istioctl` says of a workload's pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Diagnosis {
    pub run: Tool,
    pub of: String,
    /// Texts, and how many lines must contain each (white space is one blank; placeholders are those of manifests).
    pub lines: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tool {
    /// `istioctl x describe pod`.
    Describe,
    /// `istioctl proxy-config cluster`.
    Clusters,
    /// `istioctl proxy-config endpoint`.
    Endpoints,
    /// `istioctl proxy-config route`.
    Routes,
    /// `istioctl proxy-status`.
    Status,
}
