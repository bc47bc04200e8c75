//! Gathers the circumstances of a run of a probe and applies them to its checks.

use std::time::Duration;

use futures::future::OptionFuture;
use k8s_openapi::api::core::v1::Service;
use kube::{Api, ResourceExt as _};
use testbed::control::{Observation, Origin, Stall};
use tokio::time::Instant;

use super::watch::Guarded;
use crate::{
    cluster::pods,
    errors::{ErrorClass, Trouble},
    fixture::workload::WORKLOAD_LABEL,
    mesh::istio::injection::{GATEWAY_NAME, is_gateway},
    plan::resolve::ResolvedProbe,
    run::{context::RunContext, namespace::scenario_namespace::ScenarioNamespace, probe},
    verdict::{
        Observations, ResolvedExpect,
        guard::{Circumstances, Stalled, Target, Times, is_answer, is_wanted},
        outcome::Check,
    },
};

/// A run of a probe to be judged.
pub struct Judged<'a> {
    pub probe: &'a ResolvedProbe,
    pub expect: &'a ResolvedExpect,
    pub seen: &'a Observations,
    pub began: Instant,
    /// The probe is run again if it does not hold. So nothing is awaited to explain this run.
    pub again: bool,
}

/// Applies the rule of `verdict::guard` to the checks of a run.
pub async fn judge(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    run: Judged<'_>,
    checks: Vec<Check>,
) -> Vec<Check> {
    let Judged {
        probe,
        expect,
        seen,
        began,
        again,
    } = run;
    let doubt = !again && !checks.iter().all(is_wanted);
    let target = target(ctx, ns, probe, &seen.calls, doubt).await;
    let mut circumstances = gather(ctx, ns, target.gateway, began, doubt).await;
    circumstances.target = target;
    circumstances.times = times(ns, probe, expect);
    let own = [
        ("this machine", &seen.stalls.harness),
        ("the caller", &seen.stalls.caller),
    ];
    let longest = own.into_iter().filter_map(|(who, all)| stalled(who, all));
    circumstances.stalls.extend(longest);
    circumstances.guard(checks, expect, &seen.calls)
}

/// Gathers what happened to all participants since `began`. If nothing is in doubt, uses only
/// what is already known.
pub async fn gather(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    gateway: bool,
    began: Instant,
    doubt: bool,
) -> Circumstances {
    let mut all = Vec::new();
    if doubt {
        let gateways = gateway.then(|| ctx.guards.gateways.settled(began));
        let (own, gateways, istiod) = tokio::join!(
            ns.guard.settled(began),
            OptionFuture::from(gateways),
            ctx.guards.istiod.settled(began)
        );
        all.extend([own, istiod]);
        all.extend(gateways);
        all.push(ctx.guards.dns.since(began));
    } else {
        all.push(ns.guard.since(began));
        all.extend(gateway.then(|| ctx.guards.gateways.since(began)));
    }
    let mut circumstances = Circumstances::default();
    for Guarded {
        ended,
        stalls,
        unready,
    } in all
    {
        let deaths = ended.into_iter().map(|ended| ended.death);
        circumstances.deaths.extend(deaths);
        circumstances.stalls.extend(stalls);
        circumstances.unready.extend(unready);
    }
    circumstances
}

/// Returns a cause other than the mesh for which something may not have happened in time.
pub async fn slowed(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    gateway: bool,
    began: Instant,
    within: Duration,
) -> Option<Trouble> {
    let mut circumstances = gather(ctx, ns, gateway, began, true).await;
    circumstances.stalls.extend(ctx.guards.api.since(began));
    let machine = ctx.watchdog.since(began.into_std());
    circumstances
        .stalls
        .extend(stalled("this machine", &machine));
    circumstances.slowed(within)
}

/// Returns the longest stall of a process that measures its own stalls. Its machine did not
/// schedule it.
fn stalled(who: &str, all: &[Stall]) -> Option<Stalled> {
    let longest = all.iter().map(|stall| stall.for_us).max()?;
    Some(Stalled {
        who: who.to_owned(),
        class: ErrorClass::Machine,
        time: Duration::from_micros(longest),
    })
}

/// Returns every time that the verdict of the run depends on.
fn times(ns: &ScenarioNamespace, probe: &ResolvedProbe, expect: &ResolvedExpect) -> Times {
    let mut times = ns.times.get().cloned().unwrap_or_default();
    times.expected(expect);
    probe
        .request
        .deadline
        .into_iter()
        .for_each(|deadline| times.limit(deadline));
    if let Some(script) = &probe.request.script {
        let waits = [
            script.delay_ms,
            script.gap_ms,
            script.hold_ms,
            script.read_gap_ms,
        ];
        waits.into_iter().for_each(|ms| times.delay_ms(ms));
    }
    if let Some(stream) = &probe.request.stream {
        let waits = [
            stream.gap_ms,
            stream.read_gap_ms,
            stream.ping_ms.unwrap_or(0),
        ];
        waits.into_iter().for_each(|ms| times.delay_ms(ms));
    }
    times
}

async fn target(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    probe: &ResolvedProbe,
    calls: &[Observation],
    doubt: bool,
) -> Target {
    let address = probe::target(ns, probe);
    let now = calls.iter().any(is_answer);
    let answered = ns.has_answered(&probe.request.from, &address, now);
    let gateway = probe::through_gateway(probe) || leads_to_a_gateway(ctx, ns, &address);
    let broken = calls
        .iter()
        .any(|call| call.status.origin == Origin::Transport);
    let served = !(doubt && broken && !answered) || is_served(ctx, ns, &address).await;
    Target {
        address,
        answered,
        gateway,
        served,
    }
}

/// Whether a gateway of the scenario itself has this name.
pub fn leads_to_a_gateway(ctx: &RunContext, ns: &ScenarioNamespace, address: &str) -> bool {
    let host = address.split([':', '.']).next().unwrap_or_default();
    let named = |pod: &k8s_openapi::api::core::v1::Pod| {
        let labels = [WORKLOAD_LABEL, "app"]
            .into_iter()
            .filter_map(|key| pods::label(pod, key));
        let deployed = pods::label(pod, GATEWAY_NAME).is_some_and(|name| host.starts_with(name));
        deployed || labels.into_iter().any(|label| label == host)
    };
    let all = ctx.pods.of(&ns.name);
    all.iter().any(|pod| is_gateway(pod) && named(pod))
}

/// Whether a Service with this name and port exists. An address that is not the name of a Service
/// counts as existing.
async fn is_served(ctx: &RunContext, ns: &ScenarioNamespace, address: &str) -> bool {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    let mut labels = host.split('.');
    let (name, namespace) = (labels.next().unwrap_or_default(), labels.next());
    let inside = labels.next().is_none_or(|label| label == "svc");
    if !inside || host.contains("://") || name.parse::<u8>().is_ok() {
        return true;
    }
    let namespace = namespace.unwrap_or(&ns.name);
    let api: Api<Service> = Api::namespaced(ctx.client.clone(), namespace);
    match api.get_opt(name).await {
        Ok(None) => false,
        Ok(Some(service)) => {
            let spec = service.spec.as_ref();
            let headless = spec.is_some_and(|spec| spec.cluster_ip.as_deref() == Some("None"));
            let ports = spec
                .into_iter()
                .flat_map(|spec| spec.ports.iter().flatten());
            let mut ports = ports.map(|other| other.port.to_string());
            tracing::debug!(service = service.name_any(), port, "looked up its port");
            headless || ports.any(|other| other == port)
        }
        Err(error) => {
            tracing::warn!(%error, address, "cannot get the Service");
            true
        }
    }
}
