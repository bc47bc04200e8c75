//! `access-log`: what a proxy logged about each call.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statistics::Rates;
use testbed::control::Observation;

use super::spec::{Around, Exact, ExpectError, Form, Mistake, Named, Spec};
use crate::verdict::{
    calls::Calls,
    fields,
    judgement::{Judgement, decide, exact},
    tally::Tally,
    text::fields_text,
};

/// The line of a proxy's access log about each call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AccessLog {
    /// The workload whose sidecar's log is read, or `gateway`.
    pub at: String,
    /// Fields of the JSON line, as text; `null`: absent or empty. Without fields, any line is
    /// enough.
    #[serde(default)]
    pub fields: BTreeMap<String, Option<String>>,
    /// No call has a line in this log.
    #[serde(default)]
    pub absent: bool,
}

impl Spec for AccessLog {
    const NAME: &'static str = "access-log";
    const DOC: &'static str = "What the access log of a proxy says about each call.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`access-log: {at, fields, absent}`",
        "the JSON line in the proxy's access log has these fields for each call, compared as text (`null`: absent or empty); `absent: true`: no call has a line",
    )];
    type Written = Self;

    fn read(written: &Self) -> Result<Self, ExpectError> {
        Ok(written.clone())
    }

    fn expected(&self) -> String {
        let at = &self.at;
        match (self.absent, self.fields.is_empty()) {
            (true, _) => format!("no line in the access log of {at}"),
            (false, true) => format!("a line for each call in the access log of {at}"),
            (false, false) => format!("{} in the access log of {at}", fields_text(&self.fields)),
        }
    }

    fn expand(&mut self, expand: &dyn Fn(&str) -> String) {
        let texts = self.fields.values_mut().flatten();
        texts.for_each(|text| *text = expand(text));
    }

    fn names(&self) -> Vec<Named<'_>> {
        vec![Named::Proxy(&self.at)]
    }

    fn mistakes(&self, _: &Around<'_>) -> Vec<Mistake> {
        if !self.absent || self.fields.is_empty() {
            return Vec::new();
        }
        vec![Mistake::new(
            "'access-log' expects fields of a line that must be absent",
            "remove `fields` or `absent`",
        )]
    }
}

impl Exact for AccessLog {
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        let kept = calls.kept();
        let line = |call: &&Observation| calls.seen.telemetry.log.get(&call.call);
        let find = |call: &&Observation, key: &str| {
            let value = line(call).and_then(|line| line.get(key));
            let value = value.filter(|value| !value.is_empty());
            value.map(String::as_str).into_iter().collect()
        };
        let text = |call: &&Observation| match line(call) {
            None => "no line".to_owned(),
            Some(_) if self.fields.is_empty() => "a line".to_owned(),
            Some(_) => fields::seen(&self.fields, |key| find(call, key)),
        };
        let good = |call: &&Observation| match (line(call), self.absent) {
            (None, absent) => absent,
            (Some(_), true) => false,
            (Some(_), false) => fields::matches(&self.fields, |key| find(call, key)),
        };
        let tally: Tally = kept.iter().map(text).collect();
        exact(decide(kept.is_empty(), kept.iter().all(good)), tally)
    }
}
