//! `stop-background`: a background comes to its end before the scenario does.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::{Around, Before, Limit, Mistake, Verb};

/// Ends a background: its streams end their half, no new call starts, and all of its calls are
/// judged.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StopBackground {
    pub probe: String,
    /// Matchers that must be refuted: what happened since has broken it. Empty: what it expects
    /// must hold.
    #[serde(default)]
    pub must_fail: Vec<String>,
}

impl Verb for StopBackground {
    const NAME: &'static str = "stop-background";
    const DOC: &'static str =
        "End a background before the end, so that all its calls are complete.";
    const FORM: &'static str = "`stop-background: {probe, must-fail}`";
    const DOES: &'static str = "ends a background before the end: no new call starts, its streams end their half, and all its calls are judged; with `must-fail` as a contrast";

    fn describe(&self) -> String {
        if self.must_fail.is_empty() {
            return format!("let the streams of {} end and judge them", self.probe);
        }
        format!(
            "contrast: let the streams of {} end; it must refute {}",
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

    /// Only what runs can be ended.
    fn mistakes(&self, before: &Before, _: &Around<'_>) -> Vec<Mistake> {
        if before.running.contains(&self.probe) {
            return Vec::new();
        }
        vec![Mistake::value(
            "probe",
            format!("probe '{}' does not run in the background here", self.probe),
            "add a step `background:` for it before this one",
        )]
    }

    fn leaves(&self, before: &mut Before) {
        before.running.remove(&self.probe);
    }

    fn limits(&self) -> Vec<Limit<'_>> {
        vec![Limit::List("must-fail", "words", self.must_fail.len())]
    }
}
