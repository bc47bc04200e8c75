//! `contrast`: the same calls where the claim must be refuted. Without one a check proves nothing.

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
    /// Matchers that must be refuted (names of `Expect` fields); at least one. Others are not
    /// judged.
    pub refutes: Vec<String>,
    /// Only these cells of a truth table; all when absent.
    #[serde(default)]
    pub cells: Vec<String>,
}

impl Verb for Contrast {
    const NAME: &'static str = "contrast";
    const DOC: &'static str = "Run a probe whose expectation must be refuted.";
    const FORM: &'static str = "`contrast: {probe, with, cells, refutes}`";
    const DOES: &'static str = "runs a probe, perhaps with something broken; each matcher in `refutes` must be refuted, others are not judged";

    fn words(&self) -> String {
        let broken = self.with.words();
        let broken = if broken.is_empty() {
            String::new()
        } else {
            format!(" with {broken}")
        };
        let cells = match self.cells.as_slice() {
            [] => String::new(),
            cells => format!(" (cells {})", cells.join(", ")),
        };
        format!(
            "contrast: probe {}{cells}{broken} must refute {}",
            self.probe,
            self.refutes.join(", ")
        )
    }

    fn probes(&self) -> Vec<(&'static str, &str)> {
        vec![("probe", &self.probe)]
    }

    fn runs(&self) -> Vec<Run<'_>> {
        vec![Run {
            probe: &self.probe,
            with: Some(&self.with),
            cells: &self.cells,
        }]
    }

    fn refuted(&self) -> Option<(&str, &[String])> {
        Some((&self.probe, &self.refutes))
    }

    fn is_contrast(&self) -> bool {
        true
    }

    /// Its rows are there, and something must fail.
    fn mistakes(&self, _: &Before, around: &Around<'_>) -> Vec<Mistake> {
        let Some(probe) = around.probes.get(&self.probe) else {
            return Vec::new();
        };
        let known: Vec<&str> = probe.vary.iter().map(|row| row.cell.as_str()).collect();
        let cells = self.cells.iter().enumerate();
        let unknown = cells.filter(|(_, cell)| !known.contains(&cell.as_str()));
        let mut found: Vec<Mistake> = unknown
            .map(|(at, cell)| {
                let message = format!("probe '{}' has no cell '{cell}'", self.probe);
                let help = did_you_mean(cell, &known);
                Mistake::key(&format!("cells[{at}]"), message, help)
            })
            .collect();
        if self.refutes.is_empty() {
            found.push(Mistake::key(
                "",
                "this contrast refutes nothing",
                "name the matchers that must fail, e.g. `refutes: [reaches-all]`",
            ));
        }
        found
    }

    fn limits(&self) -> Vec<Limit<'_>> {
        vec![
            Limit::List("refutes", "words", self.refutes.len()),
            Limit::With("with", &self.with, &self.probe),
        ]
    }
}
