//! Expectation × observation → checks.

use statistics::{Rates, largest_unseen};
use testbed::control::Observation;

use super::{
    answer,
    calls::Calls,
    expect::{Matcher, ResolvedExpect},
    judgement::Judgement,
    matcher::{call, config, detects, ledger, moved, stream, telemetry, tls},
    monitor::{decider, in_order},
    outcome::{Check, CheckResult, LEDGER, PATIENCE},
    seen::Seen,
    words::percent,
};

/// Judges every matcher of one run of a probe. `probe` is the name in reports, `<probe>` or `<probe>[<cell>]`.
///
/// The result always has a [`LEDGER`] check; an undecided one makes the scenario an ERROR, as does [`PATIENCE`].
pub fn judge(probe: &str, expect: &ResolvedExpect, seen: &Seen, rates: Rates) -> Vec<Check> {
    let calls = Calls::new(seen, expect.status().unwrap_or(0), expect.lost());
    let mut checks: Vec<Check> = expect
        .matchers
        .iter()
        .map(|matcher| {
            let judgement = one(matcher, &calls, rates);
            let mut check = check(probe, matcher.name(), matcher.expected(), judgement);
            check.alpha = matcher.declares_rates().then_some(rates.alpha);
            check
        })
        .collect();
    let agree = "client and servers counted the same calls".to_owned();
    checks.push(check(probe, LEDGER, agree, ledger::agreement(&calls)));
    checks.extend(patience(probe, seen));
    checks
}

/// Turns checks into those of a contrast: only the listed matchers, each of which must be refuted. Agreement of the ledgers
/// and patience are still wanted as they are.
#[must_use]
pub fn as_contrast(checks: Vec<Check>, refutes: &[String]) -> Vec<Check> {
    let ours = |check: &Check| check.matcher == LEDGER || check.matcher == PATIENCE;
    checks
        .into_iter()
        .filter(|check| ours(check) || refutes.contains(&check.matcher))
        .map(|mut check| {
            check.contrast = !ours(&check);
            check
        })
        .collect()
}

/// A matcher that is added does not compile until it has its place here.
fn one(matcher: &Matcher, calls: &Calls<'_>, rates: Rates) -> Judgement {
    let sure = |judgement| with_power(judgement, rates);
    match matcher {
        Matcher::Status(_) | Matcher::Lost(_) => sure(call::lost(calls)),
        Matcher::Message(part) => sure(call::message(part, calls)),
        Matcher::ProducedBy(who) => sure(call::produced_by(*who, calls)),
        Matcher::AnsweredBy(workload) => sure(call::answered_by(workload, calls)),
        Matcher::Took(span) => sure(call::took(*span, calls)),
        Matcher::HttpStatus(code) => sure(call::http_status(*code, calls)),
        Matcher::StatusIn(place) => sure(call::status_in(*place, calls)),
        Matcher::PageSees(page) => sure(call::page_sees(*page, calls)),
        Matcher::Response(fields) => sure(call::response(fields, calls)),
        Matcher::InitialMetadata(fields) => sure(call::initial_metadata(fields, calls)),
        Matcher::TrailingMetadata(fields) => sure(call::trailing_metadata(fields, calls)),
        Matcher::ResponseFlag { at, flag } => sure(call::response_flag(flag, at, calls)),
        Matcher::Tls(wanted) => sure(tls::judge(wanted, calls)),
        Matcher::Attempts(counts) => sure(ledger::attempts(*counts, calls)),
        Matcher::UpstreamProtocol(version) => sure(ledger::upstream_protocol(version, calls)),
        Matcher::ServerDeadline(wanted) => sure(ledger::server_deadline(*wanted, calls)),
        Matcher::ServerMetadata(fields) => sure(ledger::server_metadata(fields, calls)),
        Matcher::PeerIdentity(identity) => sure(ledger::peer_identity(identity, calls)),
        Matcher::Stream { requests, replies } => stream::stream(*requests, *replies, calls),
        Matcher::Reset(code) => stream::reset(code.as_deref(), calls),
        Matcher::ServerEnd(end) => stream::server_end(end, calls),
        Matcher::ServerPings(counts) => stream::server_pings(*counts, calls),
        Matcher::ServerConnections(counts) => stream::server_connections(*counts, calls),
        Matcher::Moved(moved) => moved::judge(moved, calls, rates),
        Matcher::AccessLog(wanted) => telemetry::access_log(wanted, calls),
        Matcher::Counted(wanted) => telemetry::counted(wanted, calls),
        Matcher::Trace(wanted) => telemetry::trace(wanted, calls),
        Matcher::Spans(wanted) => telemetry::spans(wanted, calls, rates),
        Matcher::Diagnosis(wanted) => telemetry::diagnosis(wanted, &calls.seen.telemetry.diagnosis),
        Matcher::Config(wanted) => config::judge(wanted, calls),
        Matcher::Detects(share) => detects::judge(*share, calls, rates),
        Matcher::ReachesAll(_)
        | Matcher::Pinned(_)
        | Matcher::Spread { .. }
        | Matcher::Share(_)
        | Matcher::StickyBy(_) => statistical(matcher, calls, rates),
    }
}

/// Says how rare a fault a claim about every call may have overlooked.
fn with_power(mut judgement: Judgement, rates: Rates) -> Judgement {
    let holds = judgement.result == CheckResult::Holds;
    if holds && judgement.samples > 1 && judgement.method.is_empty() {
        judgement.method = format!(
            "every call; a fault in {} of them or more would have been seen but for {:e}",
            percent(largest_unseen(judgement.samples, rates.beta)),
            rates.beta
        );
    }
    judgement
}

/// The same test that the monitor fed while the calls ran, over the same calls in the same order.
fn statistical(matcher: &Matcher, calls: &Calls<'_>, rates: Rates) -> Judgement {
    let busy = calls.seen.busy_pod.as_deref();
    let Some(mut test) = decider(matcher, &calls.seen.pods, busy, rates) else {
        unreachable!("{} is neither exact nor statistical", matcher.name());
    };
    for call in in_order(&calls.seen.calls) {
        if answer::stranger(call, &calls.seen.namespace).is_none() {
            test.feed(call);
        }
    }
    test.conclude()
}

fn patience(probe: &str, seen: &Seen) -> Option<Check> {
    let given_up: Vec<&Observation> = seen.calls.iter().filter(|c| answer::given_up(c)).collect();
    let first = given_up.first()?;
    let judgement = Judgement {
        result: CheckResult::Undecided,
        actual: format!(
            "{} of {} calls were given up by the caller, first {}",
            given_up.len(),
            seen.calls.len(),
            first.call
        ),
        samples: seen.calls.len() as u64,
        method: String::new(),
    };
    let expected = "every call ends within the caller's patience".to_owned();
    Some(check(probe, PATIENCE, expected, judgement))
}

fn check(probe: &str, matcher: &str, expected: String, judgement: Judgement) -> Check {
    Check {
        probe: probe.to_owned(),
        matcher: matcher.to_owned(),
        expected,
        actual: judgement.actual,
        result: judgement.result,
        contrast: false,
        samples: judgement.samples,
        method: judgement.method,
        alpha: None,
    }
}
