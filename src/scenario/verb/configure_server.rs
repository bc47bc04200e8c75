//! `configure-server`: changes the behaviour of a workload's servers from here on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::spec::{Around, Before, Limit, Mistake, Verb};
use crate::scenario::script::{self, ScriptError};

/// Behaviour of a workload's servers from this step on.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct ConfigureServer {
    pub workload: String,
    /// Script for calls without their own; `{}` resets it.
    pub script: Option<Value>,
    /// Status that the gRPC health service returns.
    pub health: Option<Health>,
    /// Send GOAWAY on every open connection.
    pub go_away: bool,
}

/// Serving statuses of `grpc.health.v1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Health {
    Serving,
    NotServing,
}

impl Health {
    /// The name in `grpc.health.v1`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "SERVING",
            Self::NotServing => "NOT_SERVING",
        }
    }
}

impl Verb for ConfigureServer {
    const NAME: &'static str = "configure-server";
    const DOC: &'static str = "Change the behaviour of a workload's servers from here on.";
    const FORM: &'static str = "`configure-server: {workload, script, health, go-away}`";
    const DOES: &'static str = "configures every pod of a workload: a script for calls without their own (`{}` resets it), `health: NOT_SERVING` or `SERVING`, GOAWAY on all connections";

    fn describe(&self) -> String {
        let script = self
            .script
            .as_ref()
            .map(|script| format!("script {script}"));
        let health = self
            .health
            .map(|health| format!("health {}", health.as_str()));
        let away = self.go_away.then(|| "GOAWAY on all connections".to_owned());
        let parts: Vec<String> = [script, health, away].into_iter().flatten().collect();
        format!(
            "configure the servers of {}: {}",
            self.workload,
            parts.join(", ")
        )
    }

    fn workloads(&self) -> Vec<(&'static str, &str)> {
        vec![("workload", &self.workload)]
    }

    fn mistakes(&self, _: &Before, _: &Around<'_>) -> Vec<Mistake> {
        if self.script.is_none() && self.health.is_none() && !self.go_away {
            return vec![Mistake::key(
                "",
                "this step configures nothing",
                "add `script:`, `health:` or `go-away: true`",
            )];
        }
        let unreadable = script::script(self.script.as_ref()).err();
        let reported =
            unreadable.map(|error| Mistake::key("script", error.reported(), ScriptError::HELP));
        reported.into_iter().collect()
    }

    fn limits(&self) -> Vec<Limit<'_>> {
        vec![Limit::Script("script", self.script.as_ref())]
    }
}
