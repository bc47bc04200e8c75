//! `probe`: runs a probe and judges its expectation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::{Run, Verb};

/// Name of the probe.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, description = "")]
pub struct Probe(pub String);

impl Verb for Probe {
    const NAME: &'static str = "probe";
    const DOC: &'static str = "Run a probe; its expectation must hold.";
    const FORM: &'static str = "`probe: PROBE`";
    const DOES: &'static str = "runs a probe; its expectation must hold";

    fn describe(&self) -> String {
        format!("probe {}", self.0)
    }

    fn probes(&self) -> Vec<(&'static str, &str)> {
        vec![("", &self.0)]
    }

    fn runs(&self) -> Vec<Run<'_>> {
        vec![Run::of(&self.0)]
    }
}
