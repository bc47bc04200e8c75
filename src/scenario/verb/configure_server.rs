//! `configure-server`: the servers of a workload behave otherwise from here on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::spec::{Around, Before, Limit, Mistake, Verb};
use crate::scenario::script::{self, ScriptError};

/// What the servers of a workload are told, from here on.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct ConfigureServer {
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
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "SERVING",
            Self::NotServing => "NOT_SERVING",
        }
    }
}

impl Verb for ConfigureServer {
    const NAME: &'static str = "configure-server";
    const DOC: &'static str = "Tell the servers of a workload what to do from here on.";
    const FORM: &'static str = "`configure-server: {workload, script, health, go-away}`";
    const DOES: &'static str = "tells every pod of a workload: a script for calls without their own (`{}` ends it), `health: NOT_SERVING` or `SERVING`, GOAWAY on all connections";

    fn describe(&self) -> String {
        let script = self
            .script
            .as_ref()
            .map(|script| format!("script {script}"));
        let health = self
            .health
            .map(|health| format!("health {}", health.as_str()));
        let away = self.go_away.then(|| "GOAWAY on all connections".to_owned());
        let words: Vec<String> = [script, health, away].into_iter().flatten().collect();
        format!(
            "tell the servers of {}: {}",
            self.workload,
            words.join(", ")
        )
    }

    fn workloads(&self) -> Vec<(&'static str, &str)> {
        vec![("workload", &self.workload)]
    }

    fn mistakes(&self, _: &Before, _: &Around<'_>) -> Vec<Mistake> {
        if self.script.is_none() && self.health.is_none() && !self.go_away {
            return vec![Mistake::key(
                "",
                "the servers are told nothing",
                "add `script:`, `health:` or `go-away: true`",
            )];
        }
        let unreadable = script::script(self.script.as_ref()).err();
        let told = unreadable.map(|error| Mistake::key("script", error.told(), ScriptError::HELP));
        told.into_iter().collect()
    }

    fn limits(&self) -> Vec<Limit<'_>> {
        vec![Limit::Script("script", self.script.as_ref())]
    }
}
