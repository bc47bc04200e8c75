//! Two probes side by side: what one of them may cost of the other.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Runs two probes by turns and compares them round by round.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Versus {
    /// Probe of which something is claimed.
    pub probe: String,
    /// Probe that it is compared with.
    pub against: String,
    /// Pairs of runs; the two change places from round to round.
    #[serde(default = "rounds")]
    pub rounds: u32,
    /// The median time of a call is at most this share of the other's, e.g. `80%`.
    #[serde(default)]
    pub latency: Option<String>,
    /// The processor time that caller and proxy of the calling pod take is at most this share of the other's.
    #[serde(default)]
    pub cpu: Option<String>,
    /// Makes it a contrast: these of `latency` and `cpu` must be refuted.
    #[serde(default)]
    pub refutes: Vec<String>,
}

fn rounds() -> u32 {
    24
}
