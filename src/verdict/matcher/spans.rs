//! `spans`: the spans of each call that a collector received.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statistics::{Decision, Proportion, Rates};
use testbed::control::{Observation, Span};

use super::{
    spec::{Around, Exact, ExpectError, Form, Mistake, Named, Spec},
    trace::TraceHeader,
};
use crate::{
    values::range,
    verdict::{
        calls::Calls,
        fields,
        judgement::{Judgement, decide, exact},
        outcome::CheckResult,
        tally::Tally,
        text::percent,
    },
};

/// Spans of each call that a collector received, found by the trace id that the servers received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Spans {
    /// The workload that is the collector.
    pub at: String,
    pub header: TraceHeader,
    /// Workloads whose sidecars must each have reported a span.
    pub from: Vec<String>,
    /// Tags that each of these spans must have; `null`: the tag must be absent.
    #[serde(default)]
    pub tags: BTreeMap<String, Option<String>>,
    /// The share of calls that have spans. The default is all calls; `0%` means none.
    #[serde(default)]
    pub sampled: Option<String>,
}

impl Spec for Spans {
    const NAME: &'static str = "spans";
    const DOC: &'static str = "Spans of each call that a collector received.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`spans: {at, header, from, tags, sampled}`",
        "for each call, the collector `at` received a span with these tags from the proxy of each workload in `from`; `sampled: 50%`: for this share of the calls, `0%`: for none",
    )];
    type Written = Self;

    fn read(written: &Self) -> Result<Self, ExpectError> {
        let share = written.sampled.as_deref().map_or(Ok(1.0), range::share);
        share.map_err(ExpectError::value(Self::NAME))?;
        Ok(written.clone())
    }

    fn expected(&self) -> String {
        let share = match &self.sampled {
            Some(text) => range::share(text).map_or_else(|_| text.clone(), percent),
            None => "all".to_owned(),
        };
        let from = self.from.join(" and ");
        format!("spans from {from} at {} for {share} of the calls", self.at)
    }

    fn names(&self) -> Vec<Named<'_>> {
        let named = self.from.iter().chain([&self.at]);
        named.map(|name| Named::Workload(name)).collect()
    }

    fn mistakes(&self, _: &Around<'_>) -> Vec<Mistake> {
        if !self.from.is_empty() {
            return Vec::new();
        }
        vec![Mistake::new(
            "'spans' names no workload in `from`",
            "list the workloads whose sidecars must report spans",
        )]
    }

    fn declares_rates(&self) -> bool {
        self.sampled.is_some()
    }
}

/// The workloads that reported a span of this call. Istio names a proxy `<app>.<namespace>`.
pub fn reporters<'a>(
    calls: &Calls<'_>,
    call: &Observation,
    spans: &'a [Span],
    header: TraceHeader,
) -> Vec<(&'a str, &'a Span)> {
    let ids = calls.attempts_of(call).iter();
    let ids: BTreeSet<&str> = ids
        .filter_map(|attempt| header.context(attempt))
        .map(|(id, _)| id)
        .collect();
    let ours = spans
        .iter()
        .filter(|span| ids.contains(span.trace.as_str()));
    ours.map(|span| (span.service.split('.').next().unwrap_or_default(), span))
        .collect()
}

impl Exact for Spans {
    fn judge(&self, calls: &Calls<'_>, rates: Rates) -> Judgement {
        let kept = calls.kept();
        let reported = &calls.seen.telemetry.spans;
        let (mut tally, mut hits, mut whole) = (Tally::default(), Vec::new(), true);
        for call in &kept {
            let found = reporters(calls, call, reported, self.header);
            let ours = |name: &String| found.iter().any(|(from, _)| from == name);
            let tagged = found
                .iter()
                .all(|(_, span)| fields::matches(&self.tags, |key| fields::all(&span.tags, key)));
            hits.push(!found.is_empty());
            whole &= found.is_empty() || (self.from.iter().all(ours) && tagged);
            tally.add(span_words(self, &found, tagged));
        }
        let Some(share) = self
            .sampled
            .as_deref()
            .and_then(|text| range::share(text).ok())
        else {
            let good = whole && hits.iter().all(|hit| *hit);
            return exact(decide(kept.is_empty(), good), tally);
        };
        if share == 0.0 {
            let good = !hits.iter().any(|hit| *hit);
            return exact(decide(kept.is_empty(), good), tally);
        }
        let mut judgement = sampled(share, &hits, rates);
        if !whole {
            judgement.result = CheckResult::Refuted;
            judgement.actual = tally.to_string();
        }
        judgement
    }
}

fn span_words(expected: &Spans, found: &[(&str, &Span)], tagged: bool) -> String {
    if found.is_empty() {
        return "no span".to_owned();
    }
    let names: BTreeSet<&str> = found.iter().map(|(from, _)| *from).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let mut message = format!("spans from {}", names.join(", "));
    if !tagged && let Some((from, span)) = found.first() {
        let tags = fields::seen(&expected.tags, |key| fields::all(&span.tags, key));
        message += &format!(" ({from}: {tags})");
    }
    message
}

/// Tests the share p against p/2 and against the middle between p and 1.
fn sampled(share: f64, hits: &[bool], rates: Rates) -> Judgement {
    let each = Rates {
        alpha: rates.alpha / 2.0,
        beta: rates.beta,
    };
    let tests = [share / 2.0, share.midpoint(1.0)].map(|other| Proportion::new(share, other, each));
    let cap = tests.iter().map(Proportion::cap).max().unwrap_or(0);
    let sides = tests.map(|mut test| {
        for hit in hits {
            test.feed(*hit);
        }
        test.decision()
    });
    let result = match sides {
        [Decision::Refuted, _] | [_, Decision::Refuted] => CheckResult::Refuted,
        [Decision::Holds, Decision::Holds] => CheckResult::Holds,
        _ => CheckResult::Undecided,
    };
    let count = hits.iter().filter(|hit| **hit).count();
    Judgement {
        result,
        actual: format!("{count} of {} calls have spans", hits.len()),
        samples: hits.len() as u64,
        method: format!("two sequential probability ratio tests, cap {cap} calls, {rates}"),
    }
}

#[cfg(test)]
#[path = "telemetry_tests.rs"]
mod tests;
