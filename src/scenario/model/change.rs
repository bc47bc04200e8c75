//! Verbs that change servers, configuration and what is awaited in the middle of a scenario.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the servers of a workload are told, from here on.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Tell {
    pub workload: String,
    /// What calls without a script of their own meet; `{}` ends it.
    pub script: Option<Value>,
    /// Answer of the gRPC health service.
    pub health: Option<Health>,
    /// GOAWAY for every open connection.
    pub go_away: bool,
}

/// Words of `grpc.health.v1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Health {
    Serving,
    NotServing,
}

impl Health {
    /// As the health service spells it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Serving => "SERVING",
            Self::NotServing => "NOT_SERVING",
        }
    }
}

/// Configuration that comes and goes, so that every proxy here gets push after push.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Churn {
    /// File that is applied, deleted, applied again, …
    pub apply: String,
    /// Pushes, each awaited at every proxy.
    pub times: u32,
}

/// A claim: so many pods of a workload become ready.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Ready {
    pub workload: String,
    pub pods: u32,
    pub within: String,
}

/// Waits for a proxy's counter; when it does not come, nothing can be said (ERROR).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Await {
    /// Workload whose sidecars are asked.
    pub at: String,
    /// Regular expression over the names of Envoy's statistics; what it matches is added up over the workload's pods.
    pub stat: String,
    /// Grown by so much since this step began, or so large when `from-zero`.
    pub at_least: u64,
    #[serde(default)]
    pub from_zero: bool,
    pub within: String,
}

/// Ends a background: its streams end their half, no new call starts, and all of its calls are judged.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Finish {
    pub probe: String,
    /// Matchers that must be refuted: what happened since has broken it. Empty: what it expects must hold.
    #[serde(default)]
    pub refutes: Vec<String>,
}
