//! A probe: calls, and what is expected of them.

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
    /// Request metadata; a list sends the key once for each value. Values of keys that end in
    /// `-bin` are base64.
    #[serde(default)]
    pub metadata: BTreeMap<String, Values>,
    /// Request metadata that takes so many values in turn over the calls: `KEY-0`, `KEY-1`, … and
    /// from the start again.
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
    /// Only multiplication there is: one run of the probe per case, each case a checked claim of
    /// its own.
    #[serde(default)]
    pub cases: Vec<Case>,
    #[serde(default)]
    pub expect: Expect,
}

fn one() -> u32 {
    1
}

/// One row of a truth table: what differs from the probe, and what is expected of it instead.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Case {
    /// Name of the row, shown in reports.
    pub name: String,
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

impl Override {
    /// What is set, in words; nothing when nothing is.
    pub fn describe(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        let fields = value.as_object().into_iter().flatten();
        let set = fields.filter(|(_, value)| !value.is_null());
        let words = set.map(|(key, value)| match value.as_str() {
            Some(text) => format!("{key} {text}"),
            None => format!("{key} {value}"),
        });
        words.collect::<Vec<_>>().join(", ")
    }
}
