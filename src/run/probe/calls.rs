//! One run of a probe: drives the caller, reads the servers' ledgers, and judges both.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures::future::try_join_all;
use serde_json::json;
use testbed::control::{Attempt, CONTROL_PORT, CallPlan, Observation, RunLine};
use tokio::sync::watch;

use super::{error::ProbeError, flags, telemetry, way, why as logs};
use crate::{
    evidence::sensitive,
    mesh::istio::install::GATEWAY_ADDRESS,
    observe::testbed::{self as bed, CallerError},
    plan::{resolve::ResolvedProbe, step_probes},
    run::{
        context::RunContext,
        guard,
        namespace::{certificates::CertificateError, scenario_namespace::ScenarioNamespace},
    },
    scenario::{LoadedScenario, manifest::expand},
    timeouts::timeouts,
    verdict::{
        ResolvedExpect, answer,
        compare::quantile,
        guard::Times,
        judge,
        key_assignments::KeyAssignments,
        matcher::{Matcher, response_flag::ResponseFlag, stream_outcome::StreamOutcome},
        monitor::Monitor,
        observations::Observations,
        outcome::{self, Check},
        pods::Pods,
        stall::Stalls,
        why,
    },
    wait::{self, Look},
};

/// Time that one round of calls takes on a machine that is busy with other scenarios.
const ROUND: Duration = Duration::from_millis(100);
/// Limit of one call without a deadline (`CallPlan::patience_ms`).
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Number of calls and attempts of one run that are kept as evidence.
const KEPT: usize = 50;

/// The result of a run of a probe.
pub struct Outcome {
    pub checks: Vec<Check>,
    pub calls: u64,
    pub attempts: u64,
    /// Time that the calls themselves took, in milliseconds.
    pub took_ms: u64,
    /// Median time from sending to the end of a call, in microseconds.
    pub median_us: f64,
    /// Which pod answered which value of a `per-call` key.
    pub owners: KeyAssignments,
    /// The first calls, as evidence (JSON lines).
    pub evidence: String,
    /// Screenshots of a browser, by file extension.
    pub pictures: Vec<(String, Vec<u8>)>,
}

impl Outcome {
    /// Returns a message if calls did not end within the caller's patience.
    pub fn given_up(&self) -> Option<String> {
        let mut patience = self
            .checks
            .iter()
            .filter(|check| check.matcher == outcome::CALL_TIMEOUT);
        patience.next().map(|check| check.actual.clone())
    }
}

/// Options of a run of a probe.
#[derive(Default)]
pub struct ProbeOptions<'a> {
    /// Matchers that must fail in a contrast. Empty for a normal run.
    pub must_fail: &'a [String],
    /// Ends the run from outside (a background probe).
    pub stop: Option<watch::Receiver<bool>>,
    /// As `must_fail`, but known only when the run ends.
    pub late_must_fail: Option<watch::Receiver<Vec<String>>>,
    /// Pod that a background probe keeps busy.
    pub busy: Option<String>,
    /// The assignments with which `remapped` compares.
    pub before: Option<KeyAssignments>,
    /// The probe is run again until then if it does not hold. So nothing is awaited to explain
    /// this run.
    pub again: Option<Instant>,
}

/// Runs a probe and judges it. `tag` makes the call ids of this run unique.
///
/// # Errors
/// [`ProbeError`]: nothing is known about the mesh.
pub async fn run(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    probe: &ResolvedProbe,
    tag: &str,
    options: ProbeOptions<'_>,
) -> Result<Outcome, ProbeError> {
    let expect = probe.expect.expanded(|text| expand(text, &ns.names()));
    let read = read_before(ctx, ns, probe).await?;
    let pods = ns.pods(ctx);
    let caller = ns.pod(ctx, &probe.request.from)?;
    let caller = ctx.port(&ns.name, &caller, CONTROL_PORT);
    let plan = call_plan(ctx, ns, probe, tag)?;
    let busy = options.busy.as_deref();
    let mut monitor = match options.must_fail {
        [] => Monitor::new(&expect, &pods, busy, probe.rates),
        must_fail => Monitor::of_contrast(&expect, must_fail, &pods, busy, probe.rates),
    }
    .of_namespace(&ns.name);
    let asked = || options.stop.as_ref().is_some_and(|stop| *stop.borrow());
    let (mut calls, mut stopped_early) = (Vec::new(), false);
    let each = |line: RunLine| {
        if let RunLine::Call(mut call) = line {
            // Response messages are only evidence.
            if calls.len() >= KEPT {
                call.replies = Vec::new();
            }
            // After a call that hung, the verdict is known. Other calls would hang as long.
            let hung = answer::given_up(&call);
            calls.push(*call);
            stopped_early = monitor.feed(&calls) || hung || asked();
        }
        !stopped_early
    };
    let (began, limit) = (Instant::now(), limit(ns, probe));
    let ended = tokio::select! {
        done = bed::run(&caller, &plan, each) => done?,
        // Calls in flight are cancelled: dropping the caller's response stops them.
        () = asked_to_stop(options.stop.clone()) => None,
        () = tokio::time::sleep(limit), if options.stop.is_none() => {
            return Err(ProbeError::Endless { probe: probe.name.clone(), limit });
        }
    };
    stopped_early |= asked();
    let last_us = calls.last().map_or(0, |call: &Observation| call.end_us);
    let (took_us, caller) = match ended {
        Some(ended) => (ended.took_us, ended.stalls),
        None => (last_us, Vec::new()),
    };
    let stalls = Stalls {
        harness: ctx.watchdog.since(began),
        caller,
    };
    let recorded = RecordedCalls {
        began,
        calls,
        pods,
        stalls,
        took_us,
        stopped_early,
        read,
    };
    conclude(ctx, ns, probe, &plan.id, recorded, options).await
}

/// The calls of a run, made by a caller or a browser.
pub struct RecordedCalls {
    pub began: Instant,
    pub calls: Vec<Observation>,
    /// The pods when the calls began.
    pub pods: Pods,
    pub stalls: Stalls,
    pub took_us: u64,
    pub stopped_early: bool,
    /// Counters of proxies before the calls.
    pub read: telemetry::Before,
}

/// Returns how long a run may take: the time of each round of calls, with the delays in their
/// script, stream, deadline or configuration, and
/// [`spare`](crate::timeouts::ProbeTimeouts::spare) for all of it.
fn limit(ns: &ScenarioNamespace, probe: &ResolvedProbe) -> Duration {
    let script = probe.request.script.clone().unwrap_or_default();
    let stream = probe.request.stream.clone().unwrap_or_default();
    let paced = script.gap_ms + script.read_gap_ms + stream.gap_ms + stream.read_gap_ms > 0;
    let waits = Duration::from_millis(script.delay_ms.saturating_add(script.hold_ms));
    let configured = ns.times.get().map_or(Duration::ZERO, Times::longest);
    let each = ROUND + waits + probe.request.deadline.unwrap_or_default() + configured;
    let each = if paced {
        CALL_TIMEOUT
    } else {
        each.min(CALL_TIMEOUT)
    };
    let side_by_side = u64::from(probe.load.connections) * u64::from(probe.load.streams);
    let rounds = probe.load.times.div_ceil(side_by_side.max(1));
    let total = match probe.load.rate {
        Some(rate) => each.as_secs_f64() + probe.load.times as f64 / rate,
        None => each.as_secs_f64() * rounds as f64,
    };
    let spare = timeouts().probe.spare;
    spare + Duration::try_from_secs_f64(total).unwrap_or(spare)
}

/// Reads what a probe's matchers compare with later.
///
/// # Errors
/// A proxy does not answer.
pub async fn read_before(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    probe: &ResolvedProbe,
) -> Result<telemetry::Before, ProbeError> {
    let expect = probe.expect.expanded(|text| expand(text, &ns.names()));
    telemetry::before(ctx, ns, &expect).await
}

/// What the caller, the servers' ledgers and the proxies' logs say about the calls, and what was
/// read before them.
async fn observations(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    expect: &ResolvedExpect,
    id: &str,
    recorded: RecordedCalls,
    options: &mut ProbeOptions<'_>,
) -> Result<(Observations, telemetry::Before), ProbeError> {
    let departed = ctx.pods.departed(&ns.name);
    let attempts = attempts(ctx, ns, id, expect.get::<StreamOutcome>().is_some()).await?;
    let flags = response_flags(ctx, ns, expect, id, recorded.calls.len()).await?;
    let seen = Observations {
        calls: recorded.calls,
        attempts,
        pods: recorded.pods,
        flags,
        namespace: ns.name.clone(),
        departed,
        before: options.before.take(),
        certificates: ns.certificates.serials(),
        stalls: recorded.stalls,
        busy_pod: options.busy.take(),
        stopped_early: recorded.stopped_early,
        ..Observations::default()
    };
    Ok((seen, recorded.read))
}

/// Reads the servers' ledgers and the telemetry of recorded calls, and judges all of it.
///
/// # Errors
/// As [`run`].
pub async fn conclude(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    probe: &ResolvedProbe,
    id: &str,
    recorded: RecordedCalls,
    mut options: ProbeOptions<'_>,
) -> Result<Outcome, ProbeError> {
    let (began, took_us) = (recorded.began, recorded.took_us);
    let expect = probe.expect.expanded(|text| expand(text, &ns.names()));
    let (mut seen, read) = observations(ctx, ns, &expect, id, recorded, &mut options).await?;
    let contrast = !options.must_fail.is_empty();
    seen.way = way::of(ctx, ns, probe, &expect, &seen).await?;
    seen.telemetry = telemetry::gather(ctx, ns, &expect, &seen, &read, contrast).await?;
    let late = options.late_must_fail.map(|late| late.borrow().clone());
    let must_fail = late.as_deref().unwrap_or(options.must_fail);
    let judged = |seen: &Observations| {
        let checks = judge::judge(&probe.name, &expect, seen, probe.rates);
        match must_fail {
            [] => checks,
            must_fail => judge::as_contrast(checks, must_fail),
        }
    };
    let mut checks = judged(&seen);
    let last = options.again.is_none_or(|until| Instant::now() > until);
    if last && why::is_asked(&checks) {
        seen.logged = logs::read(ctx, ns, probe, &seen).await;
        checks = why::explain(judged(&seen), &seen);
    }
    let run = guard::judge::Judged {
        probe,
        expect: &expect,
        seen: &seen,
        began: began.into(),
        again: options.again.is_some(),
    };
    let checks = guard::judge::judge(ctx, ns, run, checks).await;
    Ok(Outcome {
        checks,
        calls: seen.calls.len() as u64,
        attempts: seen.attempts.len() as u64,
        took_ms: took_us / 1000,
        median_us: median_us(&seen.calls),
        owners: KeyAssignments::of(seen.own(), &seen.pods),
        evidence: evidence(&seen, &expect, contrast),
        pictures: Vec::new(),
    })
}

/// Returns all attempts of a run. A cancellation reaches a server after the client has seen its
/// call end. If the end matters (`ended`), waits for it.
async fn attempts(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    id: &str,
    ended: bool,
) -> Result<Vec<Attempt>, CallerError> {
    let servers = ns.ledgers(ctx);
    let limit = timeouts().probe.cancellation;
    let waited = wait::or_last_seen(limit, async |_| {
        let attempts = ledgers(ctx, ns, &servers, id).await?;
        let running = attempts.iter().any(|attempt| attempt.end == "running");
        Ok(match ended && running {
            true => Look::Unmet(attempts),
            false => Look::Met(attempts),
        })
    });
    waited.await
}

/// Returns the attempts of a run in the ledgers of these servers, each with its readiness.
async fn ledgers(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    servers: &[(String, bool)],
    id: &str,
) -> Result<Vec<Attempt>, CallerError> {
    let each = servers.iter().map(|(pod, ready)| {
        let port = ctx.port(&ns.name, pod, CONTROL_PORT);
        async move {
            match bed::ledger_of(&port, id).await {
                // It may not have started. Calls that it answered are then in no ledger, which is
                // reported.
                Err(_) if !ready => Ok(Vec::new()),
                read => read,
            }
        }
    });
    Ok(try_join_all(each).await?.into_iter().flatten().collect())
}

fn median_us(calls: &[Observation]) -> f64 {
    let times = calls
        .iter()
        .map(|call| call.end_us.saturating_sub(call.sent_us) as f64);
    quantile(&times.collect::<Vec<_>>(), 0.5)
}

/// Returns when the run is asked to stop. Without a channel, never returns.
async fn asked_to_stop(stop: Option<watch::Receiver<bool>>) {
    let heard = match stop {
        Some(mut stop) => stop.wait_for(|stop| *stop).await.is_ok(),
        None => false,
    };
    if !heard {
        std::future::pending::<()>().await;
    }
}

fn call_plan(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    probe: &ResolvedProbe,
    tag: &str,
) -> Result<CallPlan, CertificateError> {
    let mut plan = probe.call_plan(tag, target(ns, probe), &ns.names());
    plan.tls = ns.tls_plan(&ctx.redactor, probe.request.tls.as_ref())?;
    Ok(plan)
}

/// Replaces `gateway` and `gateway:PORT` with the ingress gateway's address. Other addresses are
/// returned unchanged.
fn address(to: &str) -> String {
    match to.strip_prefix("gateway") {
        Some("") => format!("{GATEWAY_ADDRESS}:80"),
        Some(port) if port.starts_with(':') => format!("{GATEWAY_ADDRESS}{port}"),
        _ => to.to_owned(),
    }
}

/// Returns the target address of a probe's calls, as the client gets it.
pub fn target(ns: &ScenarioNamespace, probe: &ResolvedProbe) -> String {
    address(&expand(&probe.request.to, &ns.names()))
}

/// Whether any probe goes through the gateway. If so, its proxies are awaited too.
pub fn uses_gateway(ctx: &RunContext, loaded: &LoadedScenario) -> bool {
    let scenario = &loaded.scenario;
    let steps = scenario.steps.iter();
    let mut probes = steps
        .filter_map(|step| step_probes(scenario, step, ctx.session.rates).ok())
        .flatten();
    probes.any(|probe| through_gateway(&probe))
}

/// Whether a probe goes through the gateway.
pub fn through_gateway(probe: &ResolvedProbe) -> bool {
    probe.request.to == "gateway"
        || probe.request.to.starts_with("gateway:")
        || probe.request.to.contains("${gateway}")
}

async fn response_flags(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    expect: &ResolvedExpect,
    id: &str,
    calls: usize,
) -> Result<BTreeMap<String, String>, ProbeError> {
    let Some(ResponseFlag { at, .. }) = expect.get() else {
        return Ok(BTreeMap::new());
    };
    let proxies = telemetry::proxies(ctx, ns, at);
    flags::flags(ctx, &proxies, &format!("{id}-"), calls).await
}

/// Returns the first calls and attempts, and the configuration of hops that were read, except in
/// a contrast, whose configuration is not the mesh's own. Values of metadata with sensitive names
/// are masked, unless the expectation mentions them.
pub(crate) fn evidence(seen: &Observations, expect: &ResolvedExpect, contrast: bool) -> String {
    let named = |name: &str| {
        let name = name.to_ascii_lowercase();
        let mut message = expect.matchers.iter().map(Matcher::expected);
        message.any(|message| message.to_ascii_lowercase().contains(&name))
    };
    let lines = |text: &mut String, value: Result<String, serde_json::Error>| {
        text.push_str(&value.unwrap_or_default());
        text.push('\n');
    };
    let mut text = String::new();
    for call in seen.calls.iter().take(KEPT) {
        let mut call = call.clone();
        for fields in [&mut call.own, &mut call.headers, &mut call.trailers] {
            sensitive::metadata(fields, named);
        }
        lines(&mut text, serde_json::to_string(&call));
    }
    for attempt in seen.attempts.iter().take(KEPT) {
        let mut attempt = attempt.clone();
        sensitive::metadata(&mut attempt.metadata, named);
        lines(&mut text, serde_json::to_string(&attempt));
    }
    for (taken, parts) in seen.telemetry.hops.parts.iter().filter(|_| !contrast) {
        let parts = parts.iter().map(|(part, values)| (part.as_str(), values));
        let parts: BTreeMap<&str, _> = parts.collect();
        let hop = json!({"hop": {"cluster": taken.cluster, "route": taken.route, "parts": parts}});
        lines(&mut text, serde_json::to_string(&hop));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::address;

    #[rstest::rstest]
    #[case("gateway", "istio-ingressgateway.istio-system:80")]
    #[case("gateway:443", "istio-ingressgateway.istio-system:443")]
    #[case("gateway-like:50051", "gateway-like:50051")]
    #[case("greeter:50051", "greeter:50051")]
    fn the_gateway_has_a_short_name(#[case] to: &str, #[case] seen: &str) {
        assert_eq!(address(to), seen);
    }
}
