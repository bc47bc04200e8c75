//! `converge`: a claim that has to hold in the end ("eventually").

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::{Limit, Run, Verb};

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Converge {
    pub probe: String,
    pub within: String,
}

impl Verb for Converge {
    const NAME: &'static str = "converge";
    const DOC: &'static str = "Run a probe again and again until it holds.";
    const FORM: &'static str = "`converge: {probe, within}`";
    const DOES: &'static str = "repeats a probe until it holds, or until the time is over (\"eventually\"); the last look counts. Look k of a statistical claim may miss at beta / (k (k + 1)), so that all looks together keep beta";

    fn describe(&self) -> String {
        format!(
            "repeat probe {} until it holds, at most {}",
            self.probe, self.within
        )
    }

    fn probes(&self) -> Vec<(&'static str, &str)> {
        vec![("probe", &self.probe)]
    }

    fn runs(&self) -> Vec<Run<'_>> {
        vec![Run::of(&self.probe)]
    }

    fn limits(&self) -> Vec<Limit<'_>> {
        vec![Limit::Time("within", &self.within)]
    }
}
