//! What proxies logged of the calls of a run: read when a check is to be explained, and only then.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
};

use futures::future::join_all;
use http::Method;
use kube::ResourceExt as _;
use serde_json::Value;
use testbed::control::Origin;

use super::flags;
use crate::{
    cluster::pods,
    fixture::workload::WORKLOAD_LABEL,
    mesh::istio::capabilities::LOG_FIELD,
    plan::resolve::ResolvedProbe,
    run::{context::Context, namespace::place::Place, probe},
    timeouts::timeouts,
    transport::http::Port,
    verdict::{
        answer::given_up,
        logged::{Hop, Line, Logged},
        seen::Seen,
    },
    wait::{self, Look},
};

/// Lines of a log that are read.
const LINES: i64 = 5000;

/// Every proxy that may have had the calls.
fn hops(ctx: &Context, place: &Place, probe: &ResolvedProbe) -> Vec<(Hop, Port)> {
    let pods = ctx.pods.of(&place.namespace);
    let of = |name: &str| pods.iter().find(|pod| pod.name_any() == name);
    let mut hops: Vec<(Hop, Port)> = Vec::new();
    for proxy in place.proxies(ctx) {
        let workload = of(&proxy.admin.pod).and_then(|pod| pods::label(pod, WORKLOAD_LABEL));
        let hop = match workload {
            _ if proxy.gateway => Hop::Gateway,
            Some(name) if name == probe.from => Hop::NearProxy,
            _ => Hop::FarProxy,
        };
        hops.push((hop, proxy.admin));
    }
    if probe::through_gateway(probe) {
        let shared = ctx.mesh.gateways.iter();
        hops.extend(shared.map(|proxy| (Hop::Gateway, proxy.admin.clone())));
    }
    hops
}

/// Lines of the run's calls in the logs of all proxies on the way, as soon as each call that left its caller has them.
pub async fn read(ctx: &Context, place: &Place, probe: &ResolvedProbe, seen: &Seen) -> Logged {
    let hops = hops(ctx, place, probe);
    let left = seen
        .calls
        .iter()
        .filter(|call| call.status.origin != Origin::Transport && !given_up(call));
    let wanted: BTreeSet<&str> = left.map(|call| call.call.as_str()).collect();
    let all: BTreeSet<&str> = seen.calls.iter().map(|call| call.call.as_str()).collect();
    let far = hops.iter().any(|(hop, _)| *hop == Hop::FarProxy);
    let limit = timeouts().probe.explanation;
    let waited = wait::or_last_seen(limit, async |_| {
        let logged = logged(ctx, &hops, &all).await;
        let whole = wanted.iter().all(|call| is_whole(logged.get(*call), far));
        Ok::<_, Infallible>(match hops.is_empty() || whole {
            true => Look::Met(logged),
            false => Look::Unmet(logged),
        })
    });
    let Ok(logged) = waited.await;
    logged
}

/// What the logs of these proxies have of these calls; a log that cannot be read has nothing.
async fn logged(ctx: &Context, hops: &[(Hop, Port)], calls: &BTreeSet<&str>) -> Logged {
    let logs = hops.iter().map(|(hop, port)| async move {
        let _ = port.fetch(Method::POST, "/reopen_logs").await;
        let text = flags::log(ctx, &port.namespace, &port.pod, LINES).await;
        (*hop, text)
    });
    let mut logged = Logged::new();
    for (hop, text) in join_all(logs).await {
        match text {
            Ok(text) => parse(&mut logged, hop, &text, calls),
            Err(error) => tracing::debug!("{error}"),
        }
    }
    logged
}

/// Everybody who had the call has told of it: who answered it, or all up to the server.
fn is_whole(lines: Option<&Vec<Line>>, far: bool) -> bool {
    let Some(lines) = lines else {
        return false;
    };
    let answered = lines.iter().any(|line| !line.passed_on());
    answered || !far || lines.iter().any(|line| line.hop == Hop::FarProxy)
}

fn parse(logged: &mut Logged, hop: Hop, log: &str, calls: &BTreeSet<&str>) {
    for line in log.lines() {
        let Ok(fields) = serde_json::from_str::<BTreeMap<String, Value>>(line) else {
            continue;
        };
        let text = |name: &str| {
            let value = fields.get(name).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        let call = text(LOG_FIELD);
        if calls.contains(call.as_str()) {
            logged.entry(call).or_default().push(Line {
                hop,
                flags: text("response_flags"),
                details: text("response_code_details"),
                cluster: text("upstream_cluster").trim_end_matches(';').to_owned(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_these_calls_are_kept_each_attempt_by_itself() {
        let log = "noise\n\
            {\"meshproof_call\":\"a-1\",\"response_flags\":\"NC\",\"response_code_details\":\"cluster_not_found\",\"upstream_cluster\":null}\n\
            {\"meshproof_call\":\"a-1\",\"response_flags\":\"-\",\"response_code_details\":\"via_upstream\",\"upstream_cluster\":\"x\"}\n\
            {\"meshproof_call\":\"a-10\",\"response_flags\":\"UH\"}\n{\"meshproof_call\":null}\n";
        let mut logged = Logged::new();
        parse(&mut logged, Hop::NearProxy, log, &BTreeSet::from(["a-1"]));
        assert_eq!(logged.len(), 1);
        let lines = &logged["a-1"];
        assert_eq!(lines.len(), 2);
        assert_eq!(
            (lines[0].flags.as_str(), lines[0].cluster.as_str()),
            ("NC", "")
        );
        assert!(is_whole(Some(lines), true), "the near proxy answered");
        assert!(
            !is_whole(Some(&lines[1..].to_vec()), true),
            "the server's proxy is missing"
        );
        assert!(is_whole(Some(&lines[1..].to_vec()), false));
        assert!(!is_whole(None, false));
    }
}
