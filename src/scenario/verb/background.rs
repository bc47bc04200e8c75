//! `background`: calls that continue while other steps run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::{Before, Run, Verb};

/// Name of the probe.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, description = "")]
pub struct Background(pub String);

impl Verb for Background {
    const NAME: &'static str = "background";
    const DOC: &'static str = "Keep a probe's calls running in the background from here to the end of the scenario; they are judged then.";
    const FORM: &'static str = "`background: PROBE`";
    const DOES: &'static str = "keeps calls running to the end of the scenario and judges them then; calls still in progress are cut off and recorded only in the servers' ledger";

    fn describe(&self) -> String {
        format!("keep probe {} running to the end", self.0)
    }

    fn probes(&self) -> Vec<(&'static str, &str)> {
        vec![("", &self.0)]
    }

    fn runs(&self) -> Vec<Run<'_>> {
        vec![Run::of(&self.0)]
    }

    fn leaves(&self, before: &mut Before) {
        before.running.insert(self.0.clone());
    }
}
