//! `stop-background`: ends a background probe before the end of the scenario.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::{Around, Before, Limit, Mistake, Verb};

/// Ends a background probe: its streams are half-closed, no new call starts, and all of its calls
/// are judged.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StopBackground {
    pub probe: String,
    /// Matchers that must be refuted because of what happened since it started. Empty: its
    /// expectation must hold.
    #[serde(default)]
    pub must_fail: Vec<String>,
}

impl Verb for StopBackground {
    const NAME: &'static str = "stop-background";
    const DOC: &'static str = "Stop a background probe before the end of the scenario, so that all its calls are complete.";
    const FORM: &'static str = "`stop-background: {probe, must-fail}`";
    const DOES: &'static str = "stops a background probe before the end of the scenario: no new call starts, its streams are half-closed, and all its calls are judged; with `must-fail` as a contrast";

    fn describe(&self) -> String {
        if self.must_fail.is_empty() {
            return format!("stop background probe {} and judge its calls", self.probe);
        }
        format!(
            "contrast: stop background probe {}; it must refute {}",
            self.probe,
            self.must_fail.join(", ")
        )
    }

    fn probes(&self) -> Vec<(&'static str, &str)> {
        vec![("probe", &self.probe)]
    }

    fn refuted(&self) -> Option<(&str, &[String])> {
        Some((&self.probe, &self.must_fail))
    }

    /// Only a running background probe can be stopped.
    fn mistakes(&self, before: &Before, _: &Around<'_>) -> Vec<Mistake> {
        if before.running.contains(&self.probe) {
            return Vec::new();
        }
        vec![Mistake::value(
            "probe",
            format!(
                "probe '{}' is not running in the background here",
                self.probe
            ),
            "add a `background:` step for it before this one",
        )]
    }

    fn leaves(&self, before: &mut Before) {
        before.running.remove(&self.probe);
    }

    fn limits(&self) -> Vec<Limit<'_>> {
        vec![Limit::List("must-fail", "entries", self.must_fail.len())]
    }
}
