//! Whether the client and the servers counted the same calls.

use std::collections::BTreeSet;

use testbed::control::{Observation, Origin};

use super::{
    answer, calls::Calls, judgement::Judgement, observations::Observations, outcome::CheckResult,
};

/// What both sides counted. After an early stop, some calls were sent but not judged: they are not
/// retries.
fn counted(calls: &Calls<'_>) -> String {
    let (judged, attempts) = (calls.judged.len(), calls.seen.attempts.len());
    let seen = calls.seen.calls.iter().map(|call| call.call.as_str());
    let sent: BTreeSet<&str> = seen.chain(calls.attempts.keys().copied()).collect();
    let sent = sent.len();
    match calls.seen.stopped_early && judged < sent {
        true => format!("{judged} of {sent} calls judged, {attempts} attempts"),
        false => format!("{judged} calls, {attempts} attempts"),
    }
}

/// Each call that an application answered must be in the ledger of the pod that answered it, and
/// each id in a ledger must belong to an observed call, except that after an early stop the calls
/// in flight were not observed. Otherwise the harness lost data, and the check is undecided. An
/// answer from a pod of another namespace refutes the check: the mesh sent a call to a foreign pod.
pub fn agreement(calls: &Calls<'_>) -> Judgement {
    let samples = calls.judged.len() as u64;
    let (result, actual) = if let Some(message) = strangers(calls.seen) {
        (CheckResult::Refuted, message)
    } else if let Some(message) = unrecorded(calls) {
        (CheckResult::Undecided, message)
    } else if let Some(message) = unobserved(calls) {
        (CheckResult::Undecided, message)
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

/// Describes the calls that pods of other namespaces answered.
fn strangers(seen: &Observations) -> Option<String> {
    let all = seen.calls.iter();
    let strangers: Vec<String> = all
        .filter_map(|call| answer::stranger(call, &seen.namespace))
        .collect();
    let first = strangers.first()?;
    Some(format!(
        "{} of {} calls were answered by pods outside the scenario's namespace, first by {first}",
        strangers.len(),
        seen.calls.len()
    ))
}

/// Describes the answered calls that are in no ledger.
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

/// Whether the pod that answered has the call in its ledger, or is gone together with its ledger.
fn is_recorded(calls: &Calls<'_>, call: &Observation) -> bool {
    let attempts = calls.attempts_of(call);
    match answer::identity(call) {
        Some(pod) if calls.seen.departed.contains(pod.uid) => true,
        Some(pod) => attempts.iter().any(|attempt| attempt.uid == pod.uid),
        None => !attempts.is_empty(),
    }
}

/// Describes the call ids in ledgers that no observed call has.
fn unobserved(calls: &Calls<'_>) -> Option<String> {
    let ours = calls.seen.calls.iter().map(|call| call.call.as_str());
    let ours: BTreeSet<&str> = ours.collect();
    let ids = calls.attempts.keys().copied();
    let foreign: Vec<&str> = ids
        .filter(|id| !calls.seen.stopped_early && !ours.contains(id))
        .collect();
    let first = foreign.first()?;
    Some(format!(
        "{} call ids in the ledgers belong to no observed call, first {first}",
        foreign.len()
    ))
}
