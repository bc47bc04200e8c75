//! Determines from the servers' ledgers which pod a background probe keeps busy.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::future::try_join_all;
use testbed::control::{Attempt, CONTROL_PORT};

use crate::{
    errors::{Classified, ErrorClass},
    observe::testbed::{self as bed, CallerError},
    run::{context::RunContext, namespace::scenario_namespace::ScenarioNamespace},
    timeouts::timeouts,
    wait::{self, Look},
};

/// The calls that a background probe keeps in flight.
#[derive(Debug, Clone)]
pub struct BackgroundHold {
    /// Prefix of its call ids.
    pub prefix: String,
    /// Number of calls that it keeps in flight.
    pub calls: u64,
}

/// The pod with more calls in progress than every other, and those calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusiestPod {
    pub pod: String,
    calls: BTreeSet<String>,
}

/// An error determining the busiest pod.
#[derive(Debug, thiserror::Error)]
pub enum InFlightError {
    #[error(transparent)]
    Server(#[from] CallerError),
    #[error("no background probe without `rate` holds a call")]
    NoneHeld,
    #[error(
        "{arrived} of the {expected} calls that the background holds were in progress after {limit:?}: {counts}"
    )]
    NotArrived {
        arrived: usize,
        expected: u64,
        limit: Duration,
        counts: String,
    },
    #[error("the background makes no single pod the busiest ({counts}): make it hold one call")]
    NoneBusiest { counts: String },
    #[error(
        "'least-request': the background's calls at {pod} ended before the probe did ({counts}): make them last longer"
    )]
    Ended { pod: String, counts: String },
}

impl Classified for InFlightError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Server(error) => error.class(),
            Self::NotArrived { .. } => ErrorClass::Harness,
            Self::NoneHeld | Self::NoneBusiest { .. } | Self::Ended { .. } => ErrorClass::Input,
        }
    }
}

/// Waits until all calls that backgrounds hold have arrived, and returns the busiest pod.
///
/// # Errors
/// [`InFlightError`]: no background holds a call, the calls did not arrive, or no single pod is
/// the busiest.
pub async fn busiest(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    held: &[BackgroundHold],
) -> Result<BusiestPod, InFlightError> {
    if held.iter().all(|holding| holding.calls == 0) {
        return Err(InFlightError::NoneHeld);
    }
    most(arrived(ctx, ns, held).await?)
}

/// Waits until all calls that backgrounds hold are in progress at servers.
///
/// # Errors
/// [`InFlightError::NotArrived`], with the number that were in progress at the end.
pub async fn arrived(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    held: &[BackgroundHold],
) -> Result<InFlightCalls, InFlightError> {
    let expected: u64 = held.iter().map(|holding| holding.calls).sum();
    let limit = timeouts().probe.arrival;
    let waited = wait::until(limit, async |_| all_run(ctx, ns, held, expected).await);
    waited.await.map_err(|error| {
        error.or_late(|late| InFlightError::NotArrived {
            arrived: count(&late.last_seen),
            expected,
            limit,
            counts: counts(&late.last_seen),
        })
    })
}

async fn all_run(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    held: &[BackgroundHold],
    expected: u64,
) -> Result<Look<InFlightCalls, InFlightCalls>, InFlightError> {
    let running = running(ctx, ns, held).await?;
    Ok(match count(&running) as u64 >= expected {
        true => Look::Met(running),
        false => Look::Unmet(running),
    })
}

/// Checks that the calls that made the pod busy are still in progress there.
///
/// # Errors
/// They are not, so the observations in the meantime prove nothing.
pub async fn still(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    held: &[BackgroundHold],
    busy: &BusiestPod,
) -> Result<(), InFlightError> {
    let running = running(ctx, ns, held).await?;
    let now = running.get(&busy.pod);
    if now.is_some_and(|now| busy.calls.is_subset(now)) {
        return Ok(());
    }
    Err(InFlightError::Ended {
        pod: busy.pod.clone(),
        counts: counts(&running),
    })
}

/// Ids of calls in progress, by pod.
pub type InFlightCalls = BTreeMap<String, BTreeSet<String>>;

/// Returns the ids of the background's calls in progress, by pod.
async fn running(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    held: &[BackgroundHold],
) -> Result<InFlightCalls, InFlightError> {
    let servers = ns.servers(ctx);
    let pairs = held
        .iter()
        .flat_map(|holding| servers.iter().map(move |pod| (holding, pod)));
    let asked = pairs.map(|(holding, pod)| {
        let port = ctx.port(&ns.name, pod, CONTROL_PORT);
        async move { bed::ledger(&port, &holding.prefix).await }
    });
    let attempts = try_join_all(asked).await?;
    Ok(by_pod(attempts.into_iter().flatten()))
}

fn by_pod(attempts: impl Iterator<Item = Attempt>) -> InFlightCalls {
    let mut running = InFlightCalls::new();
    for attempt in attempts.filter(|attempt| attempt.end == "running") {
        running.entry(attempt.pod).or_default().insert(attempt.call);
    }
    running
}

/// Returns the pod with strictly more calls than every other: only then does least-request prefer
/// each of the others to it.
fn most(running: InFlightCalls) -> Result<BusiestPod, InFlightError> {
    let counts = counts(&running);
    let mut pods: Vec<(String, BTreeSet<String>)> = running.into_iter().collect();
    pods.sort_by_key(|(_, calls)| calls.len());
    let next = pods.len().checked_sub(2).map_or(0, |at| pods[at].1.len());
    match pods.pop() {
        Some((pod, calls)) if calls.len() > next => Ok(BusiestPod { pod, calls }),
        _ => Err(InFlightError::NoneBusiest { counts }),
    }
}

fn count(running: &InFlightCalls) -> usize {
    running.values().map(BTreeSet::len).sum()
}

fn counts(running: &InFlightCalls) -> String {
    let each = running
        .iter()
        .map(|(pod, calls)| format!("{pod} {}", calls.len()));
    let parts = each.collect::<Vec<_>>().join(", ");
    if parts.is_empty() {
        "no calls in progress".to_owned()
    } else {
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::testing::attempt;

    /// Calls in progress at `greeter-a`, … in this order. Capitals stand for calls that have
    /// ended.
    fn ledgers(letters: &str) -> InFlightCalls {
        by_pod(letters.chars().enumerate().map(|(at, letter)| {
            let pod = format!("greeter-{}", letter.to_ascii_lowercase());
            let mut attempt = attempt(at as u64, &pod);
            if letter.is_ascii_lowercase() {
                attempt.end = "running".to_owned();
            }
            attempt
        }))
    }

    #[rstest::rstest]
    #[case::one_call("b", Some("greeter-b"))]
    #[case::ended_calls_do_not_count("Ab", Some("greeter-b"))]
    #[case::most_of_several("abb", Some("greeter-b"))]
    #[case::as_many_elsewhere("ab", None)]
    #[case::nothing("A", None)]
    fn one_pod_must_be_busier_than_each_other(#[case] calls: &str, #[case] pod: Option<&str>) {
        let busy = most(ledgers(calls)).ok();
        assert_eq!(busy.as_ref().map(|busy| busy.pod.as_str()), pod);
    }
}
