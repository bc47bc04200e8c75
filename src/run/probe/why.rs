//! Reads what proxies logged of the calls of a run, only to explain a check.

use std::{collections::BTreeSet, convert::Infallible};

use futures::future::join_all;
use kube::ResourceExt as _;
use testbed::control::Origin;

use super::flags;
use crate::{
    cluster::pods,
    fixture::workload::WORKLOAD_LABEL,
    observe::data_plane::{Plane, log::AccessLogEntry},
    plan::resolve::ResolvedProbe,
    run::{context::RunContext, namespace::scenario_namespace::ScenarioNamespace, probe},
    timeouts::timeouts,
    verdict::{
        answer::given_up,
        logged::{Hop, Line, Logged},
        observations::Observations,
    },
    wait::{self, Look},
};

/// Returns every proxy that may have handled the calls.
fn hops(ctx: &RunContext, ns: &ScenarioNamespace, probe: &ResolvedProbe) -> Vec<(Hop, Plane)> {
    let pods = ctx.pods.of(&ns.name);
    let of = |name: &str| pods.iter().find(|pod| pod.name_any() == name);
    let mut hops: Vec<(Hop, Plane)> = Vec::new();
    for proxy in ns.proxies(ctx) {
        let workload = of(proxy.pod()).and_then(|pod| pods::label(pod, WORKLOAD_LABEL));
        let hop = match workload {
            _ if proxy.is_gateway() => Hop::Gateway,
            Some(name) if name == probe.request.from => Hop::OutboundProxy,
            _ => Hop::InboundProxy,
        };
        hops.push((hop, proxy));
    }
    if probe::through_gateway(probe) {
        let shared = ctx.mesh.gateways.iter();
        hops.extend(shared.map(|proxy| (Hop::Gateway, proxy.clone())));
    }
    hops
}

/// Returns the lines of the run's calls in the logs of all proxies on the path, as soon as each
/// call that left its caller has them.
pub async fn read(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    probe: &ResolvedProbe,
    seen: &Observations,
) -> Logged {
    let hops = hops(ctx, ns, probe);
    let left = seen
        .calls
        .iter()
        .filter(|call| call.status.origin != Origin::Transport && !given_up(call));
    let expected: BTreeSet<&str> = left.map(|call| call.call.as_str()).collect();
    let all: BTreeSet<&str> = seen.calls.iter().map(|call| call.call.as_str()).collect();
    let far = hops.iter().any(|(hop, _)| *hop == Hop::InboundProxy);
    let limit = timeouts().probe.explanation;
    let waited = wait::or_last_seen(limit, async |_| {
        let logged = logged(ctx, &hops, &all).await;
        let whole = expected.iter().all(|call| is_whole(logged.get(*call), far));
        Ok::<_, Infallible>(match hops.is_empty() || whole {
            true => Look::Met(logged),
            false => Look::Unmet(logged),
        })
    });
    let Ok(logged) = waited.await;
    logged
}

/// Returns the lines of these calls in the logs of these proxies. A log that cannot be read
/// counts as empty.
async fn logged(ctx: &RunContext, hops: &[(Hop, Plane)], calls: &BTreeSet<&str>) -> Logged {
    let logs = hops
        .iter()
        .map(|(hop, proxy)| async move { (*hop, flags::rows(ctx, proxy).await) });
    let mut logged = Logged::new();
    for (hop, rows) in join_all(logs).await {
        match rows {
            Ok(rows) => keep(&mut logged, hop, rows, calls),
            Err(error) => tracing::debug!("{error}"),
        }
    }
    logged
}

/// Whether every proxy that handled the call has logged it: the one that answered it, or all up
/// to the server.
fn is_whole(lines: Option<&Vec<Line>>, far: bool) -> bool {
    let Some(lines) = lines else {
        return false;
    };
    let answered = lines.iter().any(|line| !line.passed_on());
    answered || !far || lines.iter().any(|line| line.hop == Hop::InboundProxy)
}

fn keep(logged: &mut Logged, hop: Hop, rows: Vec<AccessLogEntry>, calls: &BTreeSet<&str>) {
    for row in rows
        .into_iter()
        .filter(|row| calls.contains(row.call.as_str()))
    {
        let cluster = row.field("upstream_cluster").trim_end_matches(';');
        let line = Line {
            hop,
            flags: row.field("response_flags").to_owned(),
            details: row.field("response_code_details").to_owned(),
            cluster: cluster.to_owned(),
        };
        logged.entry(row.call).or_default().push(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::data_plane::log::rows;

    #[test]
    fn lines_of_these_calls_are_kept_each_attempt_by_itself() {
        let log = "noise\n\
            {\"meshproof_call\":\"a-1\",\"response_flags\":\"NC\",\"response_code_details\":\"cluster_not_found\",\"upstream_cluster\":null}\n\
            {\"meshproof_call\":\"a-1\",\"response_flags\":\"-\",\"response_code_details\":\"via_upstream\",\"upstream_cluster\":\"x\"}\n\
            {\"meshproof_call\":\"a-10\",\"response_flags\":\"UH\"}\n{\"meshproof_call\":null}\n";
        let mut logged = Logged::new();
        let calls = BTreeSet::from(["a-1"]);
        keep(&mut logged, Hop::OutboundProxy, rows(log), &calls);
        assert_eq!(logged.len(), 1);
        let lines = &logged["a-1"];
        assert_eq!(lines.len(), 2);
        assert_eq!(
            (lines[0].flags.as_str(), lines[0].cluster.as_str()),
            ("NC", "")
        );
        assert!(is_whole(Some(lines), true), "the outbound proxy answered");
        assert!(
            !is_whole(Some(&lines[1..].to_vec()), true),
            "the inbound proxy is missing"
        );
        assert!(is_whole(Some(&lines[1..].to_vec()), false));
        assert!(!is_whole(None, false));
    }
}
