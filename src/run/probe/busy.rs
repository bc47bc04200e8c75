//! Which pod a background probe keeps busy, as the servers' ledgers tell.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use futures::future::try_join_all;
use testbed::control::{Attempt, CONTROL_PORT};
use tokio::time::sleep;

use crate::{
    observe::testbed as bed,
    run::{context::Context, namespace::place::Place},
};

/// How long the calls of a background probe may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(10);

/// A background probe's hold on the servers.
#[derive(Debug, Clone)]
pub struct Holding {
    /// What its call ids begin with.
    pub prefix: String,
    /// Calls that it keeps in flight.
    pub calls: u64,
}

/// A pod with more calls in progress than every other, and which calls they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Busy {
    pub pod: String,
    calls: BTreeSet<String>,
}

/// Waits until all calls that backgrounds hold have arrived, and names the busiest pod.
///
/// # Errors
/// In words: no background holds a call, they did not arrive, or no single pod is the busiest.
pub async fn busiest(ctx: &Context, place: &Place, held: &[Holding]) -> Result<Busy, String> {
    if held.iter().all(|holding| holding.calls == 0) {
        let words = "'avoids-busy': no background probe without `rate` holds a call";
        return Err(words.to_owned());
    }
    let running = arrived(ctx, place, held).await;
    most(running.map_err(|words| format!("'avoids-busy': {words}"))?)
}

/// Waits until all calls that backgrounds hold are in progress at servers.
///
/// # Errors
/// In words: how many were, at the end.
pub async fn arrived(ctx: &Context, place: &Place, held: &[Holding]) -> Result<Running, String> {
    let wanted: u64 = held.iter().map(|holding| holding.calls).sum();
    let deadline = Instant::now() + ARRIVAL;
    loop {
        let running = running(ctx, place, held).await?;
        let arrived: usize = running.values().map(BTreeSet::len).sum();
        if arrived as u64 >= wanted {
            return Ok(running);
        }
        if Instant::now() > deadline {
            return Err(format!(
                "{arrived} of the {wanted} calls that the background holds were in progress after {ARRIVAL:?}: {}",
                counts(&running)
            ));
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// The calls that made the pod busy are still in progress there.
///
/// # Errors
/// In words: they are not, so that what was seen in the meantime says nothing.
pub async fn still(
    ctx: &Context,
    place: &Place,
    held: &[Holding],
    busy: &Busy,
) -> Result<(), String> {
    let running = running(ctx, place, held).await?;
    let now = running.get(&busy.pod);
    if now.is_some_and(|now| busy.calls.is_subset(now)) {
        return Ok(());
    }
    Err(format!(
        "'avoids-busy': the background's calls at {} ended before the probe did ({}): let them last longer",
        busy.pod,
        counts(&running)
    ))
}

/// Ids of calls in progress, by pod.
pub type Running = BTreeMap<String, BTreeSet<String>>;

/// Ids of the background's calls in progress, by pod.
async fn running(ctx: &Context, place: &Place, held: &[Holding]) -> Result<Running, String> {
    let servers = place.servers(ctx);
    let pairs = held
        .iter()
        .flat_map(|holding| servers.iter().map(move |pod| (holding, pod)));
    let asked = pairs.map(|(holding, pod)| {
        let port = ctx.port(&place.namespace, pod, CONTROL_PORT);
        async move { bed::ledger(&port, &holding.prefix).await }
    });
    let ledgers = try_join_all(asked).await;
    let attempts = ledgers.map_err(|error| error.to_string())?;
    Ok(by_pod(attempts.into_iter().flatten()))
}

fn by_pod(attempts: impl Iterator<Item = Attempt>) -> Running {
    let mut running = Running::new();
    for attempt in attempts.filter(|attempt| attempt.end == "running") {
        running.entry(attempt.pod).or_default().insert(attempt.call);
    }
    running
}

/// The pod with strictly more than every other: only then does least-request prefer each of the others to it.
fn most(running: Running) -> Result<Busy, String> {
    let words = counts(&running);
    let mut pods: Vec<(String, BTreeSet<String>)> = running.into_iter().collect();
    pods.sort_by_key(|(_, calls)| calls.len());
    let next = pods.len().checked_sub(2).map_or(0, |at| pods[at].1.len());
    match pods.pop() {
        Some((pod, calls)) if calls.len() > next => Ok(Busy { pod, calls }),
        _ => Err(format!(
            "'avoids-busy': the background makes no single pod the busiest ({words}): let it hold one call"
        )),
    }
}

fn counts(running: &Running) -> String {
    let each = running
        .iter()
        .map(|(pod, calls)| format!("{pod} {}", calls.len()));
    let words = each.collect::<Vec<_>>().join(", ");
    if words.is_empty() {
        "none anywhere".to_owned()
    } else {
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::testing::attempt;

    /// Calls in progress at `greeter-a`, … in this order; capitals have ended.
    fn ledgers(letters: &str) -> Running {
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
