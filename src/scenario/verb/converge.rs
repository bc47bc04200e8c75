//! `converge`: a claim that must hold eventually.

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
    const DOC: &'static str = "Repeat a probe until it holds.";
    const FORM: &'static str = "`converge: {probe, within}`";
    const DOES: &'static str = "repeats a probe until it holds or the time is up (\"eventually\"); the last attempt counts. Attempt k of a statistical claim is tested at beta / (k (k + 1)), so that all attempts together keep beta";

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
