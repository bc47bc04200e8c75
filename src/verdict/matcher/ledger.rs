//! Exact matchers on the servers' ledgers, and the agreement of both sides.

use std::{collections::BTreeSet, time::Duration};

use testbed::control::{Attempt, Observation, Origin};

use super::tls;
use crate::{
    scenario::{
        range::{Counts, Span, human},
        values::Fields,
    },
    verdict::{
        answer,
        calls::Calls,
        fields,
        judgement::{Judgement, exact},
        outcome::CheckResult,
        seen::Seen,
        tally::Tally,
    },
};

/// What the servers are to see of the deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerDeadline {
    /// No `grpc-timeout` arrives (`none`).
    Absent,
    Within(Span),
}

/// `attempts`: how many the servers counted for each call.
pub fn attempts(counts: Counts, calls: &Calls<'_>) -> Judgement {
    let kept = calls.kept();
    let number = |call: &&Observation| calls.attempts_of(call).len() as u64;
    let tally: Tally = kept.iter().map(|call| plural(number(call))).collect();
    let good = kept.iter().all(|call| counts.contains(number(call)));
    exact(decide(kept.is_empty(), good), tally)
}

/// `upstream-protocol`: the HTTP version in which each attempt came.
pub fn upstream_protocol(version: &str, calls: &Calls<'_>) -> Judgement {
    every(
        calls,
        |attempt| attempt.protocol.clone(),
        |attempt| attempt.protocol == version,
    )
}

/// `server-deadline`: the `grpc-timeout` of each attempt.
pub fn server_deadline(wanted: ServerDeadline, calls: &Calls<'_>) -> Judgement {
    every(calls, deadline, |attempt| deadline_matches(wanted, attempt))
}

/// `server-metadata`: of each attempt.
pub fn server_metadata(wanted: &Fields, calls: &Calls<'_>) -> Judgement {
    every(
        calls,
        |attempt| fields::seen(wanted, |key| sent(attempt, key)),
        |attempt| fields::matches(wanted, |key| sent(attempt, key)),
    )
}

/// `peer-identity`: of the caller, as the server's proxy hands it on.
pub fn peer_identity(wanted: &str, calls: &Calls<'_>) -> Judgement {
    every(calls, tls::identity, |attempt| {
        tls::identity(attempt) == wanted
    })
}

/// Request metadata as the server saw it; `:authority` has a place of its own in the ledger.
fn sent<'a>(attempt: &'a Attempt, key: &str) -> Vec<&'a str> {
    match key {
        ":authority" => vec![attempt.authority.as_str()],
        key => fields::all(&attempt.metadata, key),
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

/// Has a field of its own in an attempt, and stands among its metadata only when it came more than once.
const TIMEOUT: &str = "grpc-timeout";

fn deadline(attempt: &Attempt) -> String {
    let several = fields::all(&attempt.metadata, TIMEOUT);
    if !several.is_empty() {
        return format!("several values of {TIMEOUT}: {}", several.join(", "));
    }
    attempt.timeout_ms.map_or_else(
        || "no grpc-timeout".to_owned(),
        |ms| human(Duration::from_millis(ms)),
    )
}

fn deadline_matches(wanted: ServerDeadline, attempt: &Attempt) -> bool {
    if !fields::all(&attempt.metadata, TIMEOUT).is_empty() {
        return false;
    }
    match (wanted, attempt.timeout_ms) {
        (ServerDeadline::Absent, seen) => seen.is_none(),
        (ServerDeadline::Within(span), Some(ms)) => span.contains(Duration::from_millis(ms)),
        (ServerDeadline::Within(_), None) => false,
    }
}

/// What both sides counted. After an early stop, calls were sent that nobody judged: they are no retries.
fn counted(calls: &Calls<'_>) -> String {
    let (judged, attempts) = (calls.judged.len(), calls.seen.attempts.len());
    let seen = calls.seen.calls.iter().map(|call| call.call.as_str());
    let sent: BTreeSet<&str> = seen.chain(calls.attempts.keys().copied()).collect();
    let sent = sent.len();
    match calls.seen.stopped_early && judged < sent {
        true => format!("{judged} judged of {sent} sent, {attempts} attempts"),
        false => format!("{judged} calls, {attempts} attempts"),
    }
}

/// Do client and servers tell the same story?
///
/// Each call that an application answered must stand in the ledger of the very pod that answered, and each id in a ledger must be
/// a call of ours; after an early stop, ids of calls that were in flight are ours but unobserved. Where that is not so, *we* lost
/// something and nothing can be said. A pod of another namespace that answered is no loss: the mesh sent a call to a stranger.
pub fn agreement(calls: &Calls<'_>) -> Judgement {
    let samples = calls.judged.len() as u64;
    let (result, actual) = if let Some(words) = strangers(calls.seen) {
        (CheckResult::Refuted, words)
    } else if let Some(words) = unrecorded(calls) {
        (CheckResult::Undecided, words)
    } else if let Some(words) = unobserved(calls) {
        (CheckResult::Undecided, words)
    } else {
        (CheckResult::Holds, counted(calls))
    };
    Judgement {
        result,
        actual,
        samples,
        method: String::new(),
    }
}

/// Calls that pods of other namespaces answered, in words.
fn strangers(seen: &Seen) -> Option<String> {
    let all = seen.calls.iter();
    let strangers: Vec<String> = all
        .filter_map(|call| answer::stranger(call, &seen.namespace))
        .collect();
    let first = strangers.first()?;
    Some(format!(
        "{} of {} calls were answered by pods that are not of this scenario, first by {first}",
        strangers.len(),
        seen.calls.len()
    ))
}

/// Answered calls that no ledger has, in words.
fn unrecorded(calls: &Calls<'_>) -> Option<String> {
    let lost = |call: &&&Observation| {
        let answered = matches!(call.status.origin, Origin::Wire | Origin::Http);
        answered && answer::pod(call).is_some() && !is_recorded(calls, call)
    };
    let lost: Vec<_> = calls.judged.iter().filter(lost).collect();
    let first = lost.first()?;
    let by = answer::pod(first).unwrap_or_default();
    Some(format!(
        "{} answered calls are in no server's ledger, first {} (answered by {by})",
        lost.len(),
        first.call
    ))
}

/// The pod that answered has the call in its ledger, or took its ledger with it.
fn is_recorded(calls: &Calls<'_>, call: &Observation) -> bool {
    let attempts = calls.attempts_of(call);
    match answer::identity(call) {
        Some(pod) if calls.seen.departed.contains(pod.uid) => true,
        Some(pod) => attempts.iter().any(|attempt| attempt.uid == pod.uid),
        None => !attempts.is_empty(),
    }
}

/// Ids in ledgers that no observed call has, in words.
fn unobserved(calls: &Calls<'_>) -> Option<String> {
    let ours = calls.seen.calls.iter().map(|call| call.call.as_str());
    let ours: BTreeSet<&str> = ours.collect();
    let ids = calls.attempts.keys().copied();
    let foreign: Vec<&str> = ids
        .filter(|id| !calls.seen.stopped_early && !ours.contains(id))
        .collect();
    let first = foreign.first()?;
    Some(format!(
        "{} ids in the ledgers belong to no observed call, first {first}",
        foreign.len()
    ))
}
