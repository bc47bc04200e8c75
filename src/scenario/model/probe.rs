//! A probe: calls and their expected outcome.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    stream::Stream,
    tls::Tls,
    web::{Browser, Http, Web},
};
use crate::{values::metadata::Values, verdict::matcher::Expect};

/// A call, how often and from where it is made, and its expected outcome.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Probe {
    /// `package.Service/Method`. Optional with `http` that sets its own path.
    #[serde(default)]
    pub call: String,
    /// Send the call as gRPC-Web.
    #[serde(default)]
    pub web: Option<Web>,
    /// Send a plain HTTP request instead.
    #[serde(default)]
    pub http: Option<Http>,
    /// Make the calls from a page in a real browser instead of a workload.
    #[serde(default)]
    pub browser: Option<Browser>,
    /// Workload whose pod makes the calls; its template must be a caller. Omitted with `browser`.
    #[serde(default)]
    pub from: String,
    /// `host:port` as passed to the client, or `gateway` / `gateway:PORT` for the ingress gateway.
    pub to: String,
    /// `:authority`; `${host}` is the scenario's own external host.
    #[serde(default)]
    pub authority: Option<String>,
    /// One request message, or a list of messages for a client stream.
    #[serde(default)]
    pub send: Value,
    /// Request metadata; a list sends the key once per value. Values of keys that end in `-bin` are
    /// base64.
    #[serde(default)]
    pub metadata: BTreeMap<String, Values>,
    /// Request metadata that cycles through this number of values over the calls: `KEY-0`, `KEY-1`,
    /// … and from the start again.
    #[serde(default)]
    pub per_call: BTreeMap<String, u64>,
    /// How the server answers these calls (`testbed::control::Script`).
    #[serde(default)]
    pub script: Option<Value>,
    /// Behaviour of the client's streams: numbered messages, pace, windows, pings.
    #[serde(default)]
    pub stream: Option<Stream>,
    /// Bytes of padding to add to the request metadata.
    #[serde(default)]
    pub pad: Option<u32>,
    #[serde(default)]
    pub deadline: Option<String>,
    /// TLS settings of the caller itself; without them it sends plaintext.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// Number of calls; an upper bound for statistical matchers, which stop once they are decided.
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
    /// Open a new connection for each call.
    #[serde(default)]
    pub reconnect: bool,
    /// Variants of the probe: one run per case, each judged as a separate claim. Cases are the only
    /// way to multiply a probe.
    #[serde(default)]
    pub cases: Vec<Case>,
    #[serde(default)]
    pub expect: Expect,
}

fn one() -> u32 {
    1
}

/// One case of a probe: what differs from the probe, and its own expectation.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Case {
    /// Name of the case, shown in reports.
    pub name: String,
    pub with: Override,
    /// Replaces the probe's expectation field by field.
    pub expect: Option<Expect>,
}

/// Fields that override those of a probe.
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

impl Override {
    /// Describes the fields that are set; empty when none is.
    pub fn describe(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        let fields = value.as_object().into_iter().flatten();
        let set = fields.filter(|(_, value)| !value.is_null());
        let parts = set.map(|(key, value)| match value.as_str() {
            Some(text) => format!("{key} {text}"),
            None => format!("{key} {value}"),
        });
        parts.collect::<Vec<_>>().join(", ")
    }
}
