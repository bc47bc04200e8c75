//! Gathers the inputs of matchers on telemetry: logs, counters, spans and istioctl output.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use testbed::control::{CONTROL_PORT, Span};

use super::{error::ProbeError, flags, hops};
use crate::{
    cluster::pods,
    fixture::workload::WORKLOAD_LABEL,
    mesh::istio::injection,
    observe::{
        data_plane::{AskError, Plane},
        testbed as bed,
    },
    run::{context::RunContext, namespace::scenario_namespace::ScenarioNamespace},
    text::glob,
    timeouts::timeouts,
    verdict::{
        ResolvedExpect,
        calls::Calls,
        gathered::Telemetry,
        matcher::{
            Matcher,
            access_log::AccessLog,
            counters::{Counters, total},
            istioctl::{IstioctlSays, Tool},
            spans::{Spans, reporters},
        },
        observations::Observations,
    },
    wait::{self, Look, Steady},
};

/// How long after Envoy's flush interval a missing access-log line counts as missing.
const SURE: Duration = Duration::from_millis(500);
/// Quiet period after which collection of spans ends.
const QUIET: Duration = Duration::from_millis(800);
/// Values that were read before the calls.
#[derive(Default)]
pub struct Before {
    counters: BTreeMap<String, u64>,
}

/// Returns the proxies of a workload or of the gateway.
pub(crate) fn proxies(ctx: &RunContext, ns: &ScenarioNamespace, at: &str) -> Vec<Plane> {
    if at == "gateway" {
        return ctx.mesh.gateways.clone();
    }
    let is_named = |pod: &Pod| {
        let mut keys = [WORKLOAD_LABEL, "app"].into_iter();
        keys.any(|key| pods::label(pod, key) == Some(at))
    };
    let mut all = ctx.pods.of(&ns.name);
    all.retain(|pod| pods::is_ready(pod) && is_named(pod));
    let planes = all.iter().map(|pod| injection::proxy(&ctx.dialer, pod));
    planes.collect()
}

/// Reads what is compared with later, and makes proxies send spans at once.
///
/// # Errors
/// A proxy does not answer.
pub async fn before(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    expect: &ResolvedExpect,
) -> Result<Before, ProbeError> {
    let mut before = Before::default();
    for matcher in &expect.matchers {
        match matcher {
            Matcher::Counters(counters) => {
                before.counters = read_counters(ctx, ns, counters).await?
            }
            Matcher::Spans(spans) => {
                for workload in &spans.from {
                    for proxy in proxies(ctx, ns, workload) {
                        proxy.send_spans_at_once().await?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(before)
}

/// Returns the counters of all proxies of a workload, added up. Counters that no proxy has are
/// left out.
async fn read_counters(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    counters: &Counters,
) -> Result<BTreeMap<String, u64>, AskError> {
    let mut all: BTreeMap<String, u64> = BTreeMap::new();
    for proxy in proxies(ctx, ns, &counters.at) {
        for (name, value) in proxy.counters().await? {
            if counters.stats.keys().any(|pattern| glob(pattern, &name)) {
                *all.entry(name).or_default() += value;
            }
        }
    }
    Ok(all)
}

/// Gathers everything that the expectation uses, after the calls. In a `contrast`, expected
/// values need not appear.
///
/// # Errors
/// A proxy, the collector or istioctl does not answer.
pub async fn gather(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    expect: &ResolvedExpect,
    seen: &Observations,
    before: &Before,
    contrast: bool,
) -> Result<Telemetry, ProbeError> {
    let calls = Calls::new(seen, expect.status().unwrap_or(0), expect.max_failed());
    let mut telemetry = Telemetry::default();
    for matcher in &expect.matchers {
        match matcher {
            Matcher::AccessLog(log) => {
                telemetry.log = lines(ctx, ns, log, &calls, contrast).await?;
            }
            Matcher::Counters(counters) => {
                telemetry.counters = grown(ctx, ns, counters, &calls, before, contrast).await?;
            }
            Matcher::Spans(spans) => {
                telemetry.spans = collected(ctx, ns, spans, &calls, contrast).await?;
            }
            Matcher::Config(expected) => {
                telemetry.hops = hops::hops(ctx, ns, expected, &calls, contrast).await?;
            }
            Matcher::IstioctlSays(says) => {
                telemetry.istioctl = diagnose(ctx, ns, says).await?;
            }
            _ => {}
        }
    }
    Ok(telemetry)
}

pub(crate) type Lines = BTreeMap<String, BTreeMap<String, String>>;

/// Returns the lines of the calls in the logs of the proxies as soon as each call has one or, if
/// lines may be missing, as soon as no more can appear.
pub(crate) async fn lines(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    expected: &AccessLog,
    calls: &Calls<'_>,
    contrast: bool,
) -> Result<Lines, ProbeError> {
    let proxies = proxies(ctx, ns, &expected.at);
    let limit = match proxies.first() {
        Some(proxy) if expected.absent || contrast => proxy.log_interval().await? + SURE,
        _ => timeouts().probe.telemetry,
    };
    let waited = wait::or_last_seen(limit, async |_| {
        let found = logged(ctx, &proxies).await?;
        let all = calls
            .judged
            .iter()
            .all(|call| found.contains_key(&call.call));
        Ok(match all {
            true => Look::Met(found),
            false => Look::Unmet(found),
        })
    });
    waited.await
}

async fn logged(ctx: &RunContext, proxies: &[Plane]) -> Result<Lines, ProbeError> {
    let rows = flags::all_rows(ctx, proxies).await?.into_iter();
    Ok(rows.map(|row| (row.call, row.fields)).collect())
}

/// Returns the growth since `before`, as soon as it is as expected or no longer changes.
async fn grown(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    counters: &Counters,
    calls: &Calls<'_>,
    before: &Before,
    contrast: bool,
) -> Result<BTreeMap<String, u64>, ProbeError> {
    let expected = counters.expected_counts(calls);
    let limit = match contrast {
        true => QUIET,
        false => timeouts().probe.telemetry,
    };
    let waited = wait::or_last_seen(limit, async |_| {
        let mut grown = read_counters(ctx, ns, counters).await?;
        for (name, value) in &mut grown {
            let since = before.counters.get(name).copied().unwrap_or(0);
            *value = value.saturating_sub(since);
        }
        let there = |(name, number): (&String, &u64)| total(&grown, name) == *number;
        Ok(match expected.iter().all(there) {
            true => Look::Met(grown),
            false => Look::Unmet(grown),
        })
    });
    waited.await
}

/// Returns the collector's spans as soon as each call has the expected ones. For a sampled share,
/// waits until no more arrive.
async fn collected(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    expected: &Spans,
    calls: &Calls<'_>,
    contrast: bool,
) -> Result<Vec<Span>, ProbeError> {
    let pod = ns.pod(ctx, &expected.at)?;
    let collector = ctx.port(&ns.name, &pod, CONTROL_PORT);
    let steady = Steady::default();
    let waited = wait::or_last_seen(timeouts().probe.telemetry, async |_| {
        let spans = bed::spans(&collector).await?;
        let quiet = steady.seen(spans.len()) > QUIET;
        let whole = |call: &&testbed::control::Observation| {
            let found = reporters(calls, call, &spans, expected.header);
            let reported = |name: &String| found.iter().any(|(from, _)| from == name);
            expected.from.iter().all(reported)
        };
        let all = expected.sampled.is_none() && calls.judged.iter().all(whole);
        let settled = quiet && (contrast || expected.sampled.is_some());
        Ok(match all || settled {
            true => Look::Met(spans),
            false => Look::Unmet(spans),
        })
    });
    waited.await
}

/// Returns the lines that istioctl prints for a pod, with white space folded.
async fn diagnose(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    expected: &IstioctlSays,
) -> Result<Vec<String>, ProbeError> {
    let istioctl = ctx.mesh.istioctl.as_ref();
    let istioctl = istioctl.ok_or(ProbeError::NoIstioctl)?;
    let pod = ns.pod(ctx, &expected.of)?;
    let of = format!("{pod}.{}", ns.name);
    let mut args: Vec<&str> = expected.run.describe().split(' ').collect();
    match expected.run {
        Tool::Status => args.push(&of),
        _ => args.extend([pod.as_str(), "-n", &ns.name]),
    }
    let text = istioctl.ask(&args, timeouts().probe.istioctl).await?;
    let fold = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(text.lines().map(fold).collect())
}
