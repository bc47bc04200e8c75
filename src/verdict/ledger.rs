//! Exact matchers on the servers' ledgers, and the agreement of both sides.

use std::{collections::BTreeSet, time::Duration};

use testbed::control::{Attempt, Observation, Origin};

use super::{
    call::{Calls, exact, fields_match, fields_seen},
    expect::{Matcher, ServerDeadline},
    outcome::CheckResult,
    range::human,
    seen,
    sequential::Judgement,
    tally::Tally,
    tls,
};

/// Judges an exact matcher that looks at attempts; `None` for other kinds.
pub fn judge(matcher: &Matcher, calls: &Calls<'_>) -> Option<Judgement> {
    Some(match matcher {
        Matcher::Attempts(counts) => {
            let kept = calls.kept();
            let number = |call: &&Observation| calls.attempts_of(call).len() as u64;
            let tally: Tally = kept.iter().map(|call| plural(number(call))).collect();
            let good = kept.iter().all(|call| counts.contains(number(call)));
            exact(decide(kept.is_empty(), good), tally)
        }
        Matcher::UpstreamProtocol(version) => every(
            calls,
            |attempt| attempt.protocol.clone(),
            |attempt| attempt.protocol == *version,
        ),
        Matcher::ServerDeadline(wanted) => every(calls, deadline, |attempt| {
            deadline_matches(*wanted, attempt)
        }),
        Matcher::ServerMetadata(fields) => every(
            calls,
            |attempt| fields_seen(fields, |key| sent(attempt, key)),
            |attempt| fields_match(fields, |key| sent(attempt, key)),
        ),
        Matcher::PeerIdentity(wanted) => every(calls, tls::identity, |attempt| {
            tls::identity(attempt) == *wanted
        }),
        _ => return None,
    })
}

/// Request metadata as the server saw it; `:authority` has a place of its own in the ledger.
fn sent<'a>(attempt: &'a Attempt, key: &str) -> Option<&'a str> {
    match key {
        ":authority" => Some(attempt.authority.as_str()),
        key => seen::find(&attempt.metadata, key),
    }
}

fn plural(attempts: u64) -> String {
    match attempts {
        0 => "no attempt".to_owned(),
        1 => "1 attempt".to_owned(),
        n => format!("{n} attempts"),
    }
}

fn decide(nothing: bool, good: bool) -> CheckResult {
    match (nothing, good) {
        (true, _) => CheckResult::Undecided,
        (false, true) => CheckResult::Holds,
        (false, false) => CheckResult::Refuted,
    }
}

/// Every attempt that reached a server; none at all leaves it open.
fn every(
    calls: &Calls<'_>,
    text: impl Fn(&Attempt) -> String,
    good: impl Fn(&Attempt) -> bool,
) -> Judgement {
    let attempts = &calls.seen.attempts;
    let tally: Tally = attempts.iter().map(&text).collect();
    let mut judgement = exact(
        decide(attempts.is_empty(), attempts.iter().all(good)),
        tally,
    );
    if attempts.is_empty() {
        judgement.actual = "no attempt reached a server".to_owned();
    }
    judgement
}

fn deadline(attempt: &Attempt) -> String {
    attempt.timeout_ms.map_or_else(
        || "no grpc-timeout".to_owned(),
        |ms| human(Duration::from_millis(ms)),
    )
}

fn deadline_matches(wanted: ServerDeadline, attempt: &Attempt) -> bool {
    match (wanted, attempt.timeout_ms) {
        (ServerDeadline::Absent, seen) => seen.is_none(),
        (ServerDeadline::Within(span), Some(ms)) => span.contains(Duration::from_millis(ms)),
        (ServerDeadline::Within(_), None) => false,
    }
}

/// What both sides counted. After an early stop, calls were sent that nobody judged: they are no retries.
fn counted(calls: &Calls<'_>, ours: &BTreeSet<&str>) -> String {
    let (judged, attempts) = (calls.judged.len(), calls.seen.attempts.len());
    let sent = ours
        .union(&calls.attempts.keys().copied().collect())
        .count();
    match calls.seen.stopped_early && judged < sent {
        true => format!("{judged} judged of {sent} sent, {attempts} attempts"),
        false => format!("{judged} calls, {attempts} attempts"),
    }
}

/// Do client and servers tell the same story? Disagreement means that *we* lost something, so that nothing can be said.
///
/// Each call that an application answered must stand in a ledger, and each id in a ledger must be a call of ours; after
/// an early stop, ids of calls that were in flight are ours but unobserved.
pub fn agreement(calls: &Calls<'_>) -> Judgement {
    let departed = &calls.seen.departed;
    let answered = |call: &&&Observation| {
        let pod = seen::pod(call).filter(|pod| !departed.contains(*pod));
        matches!(call.status.origin, Origin::Wire | Origin::Http) && pod.is_some()
    };
    let unrecorded: Vec<&str> = calls
        .judged
        .iter()
        .filter(answered)
        .filter(|call| calls.attempts_of(call).is_empty())
        .map(|call| call.call.as_str())
        .collect();
    let ours: BTreeSet<&str> = calls
        .seen
        .calls
        .iter()
        .map(|call| call.call.as_str())
        .collect();
    let foreign: Vec<&str> = calls
        .attempts
        .keys()
        .copied()
        .filter(|id| !calls.seen.stopped_early && !ours.contains(id))
        .collect();
    let samples = calls.judged.len() as u64;
    let (result, actual) = match (unrecorded.first(), foreign.first()) {
        (None, None) => (CheckResult::Holds, counted(calls, &ours)),
        (Some(first), _) => (
            CheckResult::Undecided,
            format!(
                "{} answered calls are in no server's ledger, first {first}",
                unrecorded.len()
            ),
        ),
        (None, Some(first)) => (
            CheckResult::Undecided,
            format!(
                "{} ids in the ledgers belong to no observed call, first {first}",
                foreign.len()
            ),
        ),
    };
    Judgement {
        result,
        actual,
        samples,
        method: String::new(),
    }
}
