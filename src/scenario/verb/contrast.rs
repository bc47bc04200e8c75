//! `contrast`: the same calls where the claim must be refuted. A check without one proves nothing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::{Around, Before, Limit, Mistake, Run, Verb};
use crate::{scenario::model::probe::Override, text::did_you_mean};

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Contrast {
    pub probe: String,
    /// What is broken in this run of the probe.
    #[serde(default)]
    pub with: Override,
    /// Matchers that must be refuted (names of `expect` fields), at least one. Others are not
    /// judged.
    pub must_fail: Vec<String>,
    /// Run only these cases of the probe; all when absent.
    #[serde(default)]
    pub cases: Vec<String>,
}

impl Verb for Contrast {
    const NAME: &'static str = "contrast";
    const DOC: &'static str = "Run a probe whose expectation must be refuted.";
    const FORM: &'static str = "`contrast: {probe, with, cases, must-fail}`";
    const DOES: &'static str = "runs a probe, optionally with something broken (`with`); each matcher in `must-fail` must be refuted, others are not judged";

    fn describe(&self) -> String {
        let broken = self.with.describe();
        let broken = if broken.is_empty() {
            String::new()
        } else {
            format!(" with {broken}")
        };
        let cases = match self.cases.as_slice() {
            [] => String::new(),
            cases => format!(" (cases {})", cases.join(", ")),
        };
        format!(
            "contrast: probe {}{cases}{broken} must refute {}",
            self.probe,
            self.must_fail.join(", ")
        )
    }

    fn probes(&self) -> Vec<(&'static str, &str)> {
        vec![("probe", &self.probe)]
    }

    fn runs(&self) -> Vec<Run<'_>> {
        vec![Run {
            probe: &self.probe,
            with: Some(&self.with),
            cases: &self.cases,
        }]
    }

    fn refuted(&self) -> Option<(&str, &[String])> {
        Some((&self.probe, &self.must_fail))
    }

    fn is_contrast(&self) -> bool {
        true
    }

    /// Checks that its cases exist and that something must fail.
    fn mistakes(&self, _: &Before, around: &Around<'_>) -> Vec<Mistake> {
        let Some(probe) = around.probes.get(&self.probe) else {
            return Vec::new();
        };
        let known: Vec<&str> = probe.cases.iter().map(|row| row.name.as_str()).collect();
        let cases = self.cases.iter().enumerate();
        let unknown = cases.filter(|(_, case)| !known.contains(&case.as_str()));
        let mut found: Vec<Mistake> = unknown
            .map(|(at, case)| {
                let message = format!("probe '{}' has no case '{case}'", self.probe);
                let help = did_you_mean(case, &known);
                Mistake::key(&format!("cases[{at}]"), message, help)
            })
            .collect();
        if self.must_fail.is_empty() {
            found.push(Mistake::key(
                "",
                "this contrast refutes nothing",
                "name the matchers that must fail, e.g. `must-fail: [reaches-all]`",
            ));
        }
        found
    }

    fn limits(&self) -> Vec<Limit<'_>> {
        vec![
            Limit::List("must-fail", "entries", self.must_fail.len()),
            Limit::With("with", &self.with, &self.probe),
        ]
    }
}
