//! Matchers on telemetry: what proxies logged, counted and reported, against what client and servers saw.

use std::collections::{BTreeMap, BTreeSet};

use statistics::{Decision, Proportion, Rates};
use testbed::control::{Attempt, Observation, Span};

use crate::{
    scenario::{
        model::telemetry::{
            AccessLog, Counted, Diagnosis, Quantity, Spans, Tool, Trace, TraceHeader,
        },
        range,
        select::glob,
    },
    verdict::{
        calls::Calls,
        fields,
        judgement::{Judgement, exact},
        outcome::CheckResult,
        tally::Tally,
        words::{field_words, percent},
    },
};

fn decide(nothing: bool, good: bool) -> CheckResult {
    match (nothing, good) {
        (true, _) => CheckResult::Undecided,
        (false, true) => CheckResult::Holds,
        (false, false) => CheckResult::Refuted,
    }
}

/// `access-log`.
pub fn access_log(wanted: &AccessLog, calls: &Calls<'_>) -> Judgement {
    let kept = calls.kept();
    let line = |call: &&Observation| calls.seen.telemetry.log.get(&call.call);
    let find = |call: &&Observation, key: &str| {
        let value = line(call).and_then(|line| line.get(key));
        let value = value.filter(|value| !value.is_empty());
        value.map(String::as_str).into_iter().collect()
    };
    let text = |call: &&Observation| match line(call) {
        None => "no line".to_owned(),
        Some(_) if wanted.fields.is_empty() => "a line".to_owned(),
        Some(_) => fields::seen(&wanted.fields, |key| find(call, key)),
    };
    let good = |call: &&Observation| match (line(call), wanted.absent) {
        (None, absent) => absent,
        (Some(_), true) => false,
        (Some(_), false) => fields::matches(&wanted.fields, |key| find(call, key)),
    };
    let tally: Tally = kept.iter().map(text).collect();
    exact(decide(kept.is_empty(), kept.iter().all(good)), tally)
}

fn quantity(quantity: Quantity, calls: &Calls<'_>) -> u64 {
    let all = calls.seen.calls.len() as u64;
    let attempts = calls.seen.attempts.len() as u64;
    let ok = calls.seen.calls.iter().filter(|call| call.status.code == 0);
    let ok = ok.count() as u64;
    match quantity {
        Quantity::Calls => all,
        Quantity::Attempts => attempts,
        Quantity::Retries => attempts.saturating_sub(all),
        Quantity::Ok => ok,
        Quantity::Failed => all - ok,
        Quantity::Zero => 0,
        Quantity::Number(number) => number,
    }
}

/// The numbers that the ledgers give for each counter.
pub fn wanted_counters(wanted: &Counted, calls: &Calls<'_>) -> BTreeMap<String, u64> {
    let each = wanted.counters.iter();
    each.map(|(name, what)| (name.clone(), quantity(*what, calls)))
        .collect()
}

/// A counter that the proxy does not have counts nothing; if it has none of them, nothing can be said.
/// `counted`.
pub fn counted(wanted: &Counted, calls: &Calls<'_>) -> Judgement {
    let grown = &calls.seen.telemetry.counters;
    let mut words = Vec::new();
    let mut good = true;
    for (name, number) in wanted_counters(wanted, calls) {
        let seen = total(grown, &name);
        good &= seen == number;
        words.push(format!("{} {seen} of {number}", short(&name)));
    }
    let nothing = grown.is_empty() || calls.seen.calls.is_empty();
    let mut judgement = exact(decide(nothing, good), Tally::default());
    judgement.samples = calls.seen.calls.len() as u64;
    judgement.actual = match grown.is_empty() {
        true => "the proxy has none of these counters".to_owned(),
        false => words.join(", "),
    };
    judgement
}

/// Growth of all counters that a pattern stands for.
pub fn total(grown: &BTreeMap<String, u64>, pattern: &str) -> u64 {
    let ours = grown.iter().filter(|(name, _)| glob(pattern, name));
    ours.map(|(_, value)| value).sum()
}

/// Trace id and span id that an attempt carried.
pub fn context(attempt: &Attempt, header: TraceHeader) -> Option<(&str, &str)> {
    // Of two, nobody knows which is meant (W3C Trace Context, section 3.2: a single header).
    let find = |key: &str| fields::only(&attempt.metadata, key);
    match header {
        TraceHeader::B3 => Some((find("x-b3-traceid")?, find("x-b3-spanid")?)),
        // version "-" trace-id "-" parent-id "-" flags (W3C Trace Context, section 3.2)
        TraceHeader::W3c => {
            let mut parts = find("traceparent")?.split('-').skip(1);
            Some((parts.next()?, parts.next()?))
        }
    }
}

/// `trace`.
pub fn trace(wanted: &Trace, calls: &Calls<'_>) -> Judgement {
    let attempts = &calls.seen.attempts;
    let good = |attempt: &Attempt| {
        context(attempt, wanted.header).is_some_and(|(id, span)| {
            wanted.id.as_deref().is_none_or(|wanted| wanted == id)
                && wanted.client_span.as_deref() != Some(span)
        })
    };
    let text = |attempt: &Attempt| match context(attempt, wanted.header) {
        None => "no trace context".to_owned(),
        Some((id, span)) => {
            let id = match wanted.id.as_deref() {
                Some(wanted) if wanted == id => "the client's trace",
                Some(_) => "another trace",
                None => "a trace",
            };
            let span = match wanted.client_span.as_deref() == Some(span) {
                true => "the client's own span",
                false => "a span of its own",
            };
            format!("{id}, {span}")
        }
    };
    let tally: Tally = attempts.iter().map(text).collect();
    let mut judgement = exact(
        decide(attempts.is_empty(), attempts.iter().all(good)),
        tally,
    );
    if attempts.is_empty() {
        judgement.actual = "no attempt reached a server".to_owned();
    }
    judgement
}

/// Workloads that reported a span of this call. Istio names a proxy `<app>.<namespace>`.
pub fn reporters<'a>(
    calls: &Calls<'_>,
    call: &Observation,
    spans: &'a [Span],
    header: TraceHeader,
) -> Vec<(&'a str, &'a Span)> {
    let ids = calls.attempts_of(call).iter();
    let ids: BTreeSet<&str> = ids
        .filter_map(|attempt| context(attempt, header))
        .map(|(id, _)| id)
        .collect();
    let ours = spans
        .iter()
        .filter(|span| ids.contains(span.trace.as_str()));
    ours.map(|span| (span.service.split('.').next().unwrap_or_default(), span))
        .collect()
}

/// `spans`.
pub fn spans(wanted: &Spans, calls: &Calls<'_>, rates: Rates) -> Judgement {
    let kept = calls.kept();
    let reported = &calls.seen.telemetry.spans;
    let (mut tally, mut hits, mut whole) = (Tally::default(), Vec::new(), true);
    for call in &kept {
        let found = reporters(calls, call, reported, wanted.header);
        let ours = |name: &String| found.iter().any(|(from, _)| from == name);
        let tagged = found
            .iter()
            .all(|(_, span)| fields::matches(&wanted.tags, |key| fields::all(&span.tags, key)));
        hits.push(!found.is_empty());
        whole &= found.is_empty() || (wanted.from.iter().all(ours) && tagged);
        tally.add(span_words(wanted, &found, tagged));
    }
    let Some(share) = wanted
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

fn span_words(wanted: &Spans, found: &[(&str, &Span)], tagged: bool) -> String {
    if found.is_empty() {
        return "no span".to_owned();
    }
    let names: BTreeSet<&str> = found.iter().map(|(from, _)| *from).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let mut words = format!("spans of {}", names.join(", "));
    if !tagged && let Some((from, span)) = found.first() {
        let tags = fields::seen(&wanted.tags, |key| fields::all(&span.tags, key));
        words += &format!(" ({from}: {tags})");
    }
    words
}

/// The share p is tested against half of it and against half way to everything.
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
        method: format!("two sequential tests, at most {cap} calls, {rates}"),
    }
}

/// `diagnosis`.
pub fn diagnosis(wanted: &Diagnosis, said: &[String]) -> Judgement {
    let count = |text: &str| said.iter().filter(|line| line.contains(text)).count() as u64;
    let good = wanted.lines.iter().all(|(text, n)| count(text) == *n);
    let words = wanted.lines.keys();
    let words = words.map(|text| format!("{} × \"{text}\"", count(text)));
    let mut judgement = exact(decide(said.is_empty(), good), Tally::default());
    judgement.samples = 1;
    judgement.actual = match said.is_empty() {
        true => "it said nothing".to_owned(),
        false => words.collect::<Vec<_>>().join(", "),
    };
    judgement
}

/// Expectations in words.
pub fn log_words(log: &AccessLog) -> String {
    let at = &log.at;
    match (log.absent, log.fields.is_empty()) {
        (true, _) => format!("no line in the log of {at}"),
        (false, true) => format!("a line for each call in the log of {at}"),
        (false, false) => format!("{} in the log of {at}", field_words(&log.fields)),
    }
}

/// See [`log_words`].
pub fn counted_words(counted: &Counted) -> String {
    let each = counted.counters.iter();
    let each = each.map(|(name, what)| format!("{} = {}", short(name), quantity_word(*what)));
    let each = each.collect::<Vec<_>>().join(", ");
    format!("the proxy of {} counted {each}", counted.at)
}

/// See [`log_words`].
pub fn trace_words(trace: &Trace) -> String {
    let whose = match trace.id {
        Some(_) => "the client's trace",
        None => "a trace",
    };
    let span = match trace.client_span {
        Some(_) => ", another span",
        None => "",
    };
    format!("{whose}{span} ({})", header_word(trace.header))
}

/// See [`log_words`].
pub fn spans_words(spans: &Spans) -> String {
    let share = match &spans.sampled {
        Some(text) => range::share(text).map_or_else(|_| text.clone(), percent),
        None => "all".to_owned(),
    };
    let from = spans.from.join(" and ");
    format!("spans from {from} at {} for {share} of the calls", spans.at)
}

/// See [`log_words`].
pub fn diagnosis_words(diagnosis: &Diagnosis) -> String {
    let each = diagnosis.lines.iter();
    let each = each.map(|(text, n)| format!("{n} × \"{text}\""));
    let each = each.collect::<Vec<_>>().join(", ");
    let tool = tool_word(diagnosis.run);
    format!("istioctl {tool} of {}: {each}", diagnosis.of)
}

/// Envoy's counter without the cluster it belongs to.
fn short(name: &str) -> &str {
    name.rsplit(';')
        .next()
        .unwrap_or(name)
        .trim_start_matches('.')
}

fn quantity_word(quantity: Quantity) -> String {
    let word = match quantity {
        Quantity::Calls => "calls",
        Quantity::Attempts => "attempts",
        Quantity::Retries => "retries",
        Quantity::Ok => "calls that ended OK",
        Quantity::Failed => "calls that failed",
        Quantity::Zero => "0",
        Quantity::Number(number) => return number.to_string(),
    };
    word.to_owned()
}

fn header_word(header: TraceHeader) -> &'static str {
    match header {
        TraceHeader::W3c => "traceparent",
        TraceHeader::B3 => "x-b3-traceid",
    }
}

/// The command's words after `istioctl`.
pub fn tool_word(tool: Tool) -> &'static str {
    match tool {
        Tool::Describe => "x describe pod",
        Tool::Clusters => "proxy-config cluster",
        Tool::Endpoints => "proxy-config endpoint",
        Tool::Routes => "proxy-config route",
        Tool::Status => "proxy-status",
    }
}

#[cfg(test)]
#[path = "telemetry_tests.rs"]
mod tests;
