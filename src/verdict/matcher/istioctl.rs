//! `istioctl`: what the mesh's own tool prints about a workload.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statistics::Rates;

use super::spec::{Around, Exact, ExpectError, Form, Mistake, Named, Spec};
use crate::verdict::{
    calls::Calls,
    judgement::{Judgement, decide, exact},
    tally::Tally,
};

/// What `istioctl` prints about a workload's pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct IstioctlSays {
    pub run: Tool,
    pub of: String,
    /// Texts, and how many lines must contain each. White space counts as one blank; the
    /// placeholders are those of manifests.
    pub lines: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tool {
    /// `istioctl x describe pod`.
    Describe,
    /// `istioctl proxy-config cluster`.
    Clusters,
    /// `istioctl proxy-config endpoint`.
    Endpoints,
    /// `istioctl proxy-config route`.
    Routes,
    /// `istioctl proxy-status`.
    Status,
}

impl Tool {
    /// The arguments of `istioctl`.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Describe => "x describe pod",
            Self::Clusters => "proxy-config cluster",
            Self::Endpoints => "proxy-config endpoint",
            Self::Routes => "proxy-config route",
            Self::Status => "proxy-status",
        }
    }
}

impl Spec for IstioctlSays {
    const NAME: &'static str = "istioctl";
    const DOC: &'static str = "What `istioctl` prints about a workload.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`istioctl: {run, of, lines}`",
        "the output of `istioctl` about workload `of` contains these texts: `run` is `describe`, `clusters`, `endpoints`, `routes` or `status`; `lines` maps each text to the number of lines that contain it",
    )];
    type Written = Self;

    fn read(written: &Self) -> Result<Self, ExpectError> {
        Ok(written.clone())
    }

    fn expected(&self) -> String {
        let each = self.lines.iter();
        let each = each.map(|(text, n)| format!("{n} × \"{text}\""));
        let each = each.collect::<Vec<_>>().join(", ");
        let tool = self.run.describe();
        format!("istioctl {tool} for {}: {each}", self.of)
    }

    fn expand(&mut self, expand: &dyn Fn(&str) -> String) {
        let each = std::mem::take(&mut self.lines).into_iter();
        self.lines = each.map(|(text, n)| (expand(&text), n)).collect();
    }

    fn names(&self) -> Vec<Named<'_>> {
        vec![Named::Workload(&self.of)]
    }

    fn mistakes(&self, _: &Around<'_>) -> Vec<Mistake> {
        if !self.lines.is_empty() {
            return Vec::new();
        }
        vec![Mistake::new(
            "'istioctl' expects no text",
            "write the texts and how many lines must contain each: `lines: {text: 1}`",
        )]
    }
}

impl Exact for IstioctlSays {
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        let answer = &calls.seen.telemetry.istioctl;
        let count = |text: &str| answer.iter().filter(|line| line.contains(text)).count() as u64;
        let good = self.lines.iter().all(|(text, n)| count(text) == *n);
        let parts = self.lines.keys();
        let parts = parts.map(|text| format!("{} × \"{text}\"", count(text)));
        let mut judgement = exact(decide(answer.is_empty(), good), Tally::default());
        judgement.samples = 1;
        judgement.actual = match answer.is_empty() {
            true => "istioctl printed nothing".to_owned(),
            false => parts.collect::<Vec<_>>().join(", "),
        };
        judgement
    }
}
