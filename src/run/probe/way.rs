//! Determines which proxies a call passes, from the workloads and, if the headers do not show who
//! answered, from the proxies' logs.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use super::{error::ProbeError, flags};
use crate::{
    cluster::pods,
    fixture::workload::{WORKLOAD_LABEL, app},
    mesh::istio::injection,
    observe::data_plane::{AskError, Plane},
    plan::resolve::ResolvedProbe,
    run::{context::RunContext, namespace::scenario_namespace::ScenarioNamespace, probe},
    timeouts::timeouts,
    verdict::{
        ResolvedExpect, answer,
        matcher::produced_by::ProducedBy,
        observations::Observations,
        producer::{Producer, Way},
    },
    wait::{self, Look},
};

/// Field of the access log, and its value for an answer of the upstream.
const DETAILS: (&str, &str) = ("response_code_details", "via_upstream");

/// Returns the path of a probe's calls. Reads configuration and logs only if the expectation
/// distinguishes the outbound and the inbound proxy and the answers do not.
///
/// # Errors
/// A proxy does not answer.
pub async fn of(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    probe: &ResolvedProbe,
    expect: &ResolvedExpect,
    seen: &Observations,
) -> Result<Way, ProbeError> {
    let (sidecar, gateways) = (sidecar(ctx, ns, probe), gateways(ctx, ns, probe));
    let mut way = Way {
        near: sidecar.is_some() || !gateways.is_empty(),
        far: servers(ctx, ns).iter().any(injection::is_sidecar),
        two: sidecar.is_some() && !gateways.is_empty(),
        ..Way::default()
    };
    let sides = [Producer::OutboundProxy, Producer::InboundProxy];
    let reported = expect.get::<ProducedBy>().map(|claim| claim.0);
    if !way.near || !reported.is_some_and(|who| sides.contains(&who)) {
        return Ok(way);
    }
    let near: Vec<Plane> = sidecar.into_iter().chain(gateways).collect();
    let unmarked = seen.own().filter(|call| answer::pod(call).is_none());
    if unmarked.count() > 0 {
        way.hidden = are_hidden(&near).await?;
    }
    let open: Vec<&str> = seen
        .own()
        .filter(|call| way.is_open(call))
        .map(|call| call.call.as_str())
        .collect();
    if !open.is_empty() {
        way.passed_on = passed_on(ctx, &near, &open).await?;
    }
    Ok(way)
}

fn servers(ctx: &RunContext, ns: &ScenarioNamespace) -> Vec<Pod> {
    let servers = ns.servers(ctx);
    let mut pods = ctx.pods.of(&ns.name);
    pods.retain(|pod| servers.contains(&pod.name_any()));
    pods
}

/// Returns the caller's sidecar.
fn sidecar(ctx: &RunContext, ns: &ScenarioNamespace, probe: &ResolvedProbe) -> Option<Plane> {
    let pods = ctx.pods.of(&ns.name);
    let mut mine = pods
        .iter()
        .filter(|pod| pods::label(pod, WORKLOAD_LABEL) == Some(probe.request.from.as_str()));
    let pod = mine.find(|pod| injection::is_sidecar(pod))?;
    Some(injection::proxy(&ctx.dialer, pod))
}

/// Returns the gateways through which the probe's target is reached: the ingress gateway, or
/// those of the scenario if the target names no other workload.
fn gateways(ctx: &RunContext, ns: &ScenarioNamespace, probe: &ResolvedProbe) -> Vec<Plane> {
    if probe::through_gateway(probe) {
        return ctx.mesh.gateways.clone();
    }
    let to = probe
        .request
        .to
        .rsplit('/')
        .next()
        .unwrap_or(&probe.request.to);
    let host = to.split([':', '.']).next().unwrap_or_default();
    let own: Vec<_> = ns
        .proxies(ctx)
        .into_iter()
        .filter(|proxy| proxy.is_gateway())
        .collect();
    let pods = ns.pods(ctx);
    let gateway = |name: &str| {
        let named = pods.get(name).into_iter().flatten();
        named.clone().count() > 0
            && named
                .clone()
                .all(|pod| own.iter().any(|one| one.pod() == pod))
    };
    let mut others = ns.workloads.iter().filter(|known| !gateway(&known.name));
    let direct = others.any(|known| host == known.name || host.starts_with(app(known)));
    match direct {
        true => Vec::new(),
        false => own,
    }
}

async fn are_hidden(near: &[Plane]) -> Result<bool, AskError> {
    for proxy in near {
        if proxy.hides().await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns, for each of these calls, whether every outbound proxy that logged it passed the
/// upstream's answer on. Calls in no log are left out.
async fn passed_on(
    ctx: &RunContext,
    near: &[Plane],
    open: &[&str],
) -> Result<BTreeMap<String, bool>, ProbeError> {
    let limit = timeouts().probe.telemetry;
    let waited = wait::or_last_seen(limit, async |_| {
        let mut found = reported(ctx, near).await?;
        found.retain(|call, _| open.contains(&call.as_str()));
        Ok(match found.len() == open.len() {
            true => Look::Met(found),
            false => Look::Unmet(found),
        })
    });
    waited.await
}

/// Returns, for each call in the outbound proxies' logs, whether every proxy that logged it
/// passed the upstream's answer on.
async fn reported(ctx: &RunContext, near: &[Plane]) -> Result<BTreeMap<String, bool>, ProbeError> {
    let mut found: BTreeMap<String, bool> = BTreeMap::new();
    for row in flags::all_rows(ctx, near).await? {
        if let Some(details) = row.fields.get(DETAILS.0) {
            let same = details == DETAILS.1;
            *found.entry(row.call).or_insert(true) &= same;
        }
    }
    Ok(found)
}
