//! The verb `compare`: runs two probes alternately, and compares their call times and the
//! processor time of the calling pods.

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt as _, api::AttachParams};
use testbed::control::CONTROL_PORT;
use tokio::io::AsyncReadExt as _;

use super::error::{LookError, StepError, VersusError};
use crate::{
    mesh::istio::injection::{PROXY, is_injected},
    plan::resolve::ResolvedProbe,
    run::{probe::Outcome, state::Run},
    scenario::{
        StepNumber, range,
        verb::{Step, compare::Compare, probe::Probe},
    },
    verdict::{
        compare,
        outcome::{Check, CheckResult},
    },
};

/// Run time of every thread of a container in nanoseconds (first field of schedstat, kernel
/// document sched-stats).
const RUN_TIMES: &str = "cat /proc/[0-9]*/task/*/schedstat";

/// The cost of one run of a probe.
struct Cost {
    /// Median from sending to the end of a call, in microseconds.
    latency: f64,
    /// Processor time of the calling pod, in microseconds.
    cpu: f64,
}

/// Runs all rounds and judges them. If the calls do not meet their probe's expectations, that is
/// the verdict, and their cost is not compared.
///
/// # Errors
/// A run failed.
pub async fn compare(
    run: &mut Run<'_>,
    number: StepNumber,
    expected: &Compare,
) -> Result<(), StepError> {
    let (ours, theirs) = (
        single(run, &expected.probe)?,
        single(run, &expected.against)?,
    );
    // Warm-up: neither probe pays for what happens only once.
    for probe in [&ours, &theirs] {
        if cost(run, number, probe, expected.cpu.is_some())
            .await?
            .is_none()
        {
            return Ok(());
        }
    }
    let mut rounds = Vec::new();
    for round in 0..expected.rounds {
        let order = if round % 2 == 0 {
            [&ours, &theirs]
        } else {
            [&theirs, &ours]
        };
        let first = cost(run, number, order[0], expected.cpu.is_some()).await?;
        let second = cost(run, number, order[1], expected.cpu.is_some()).await?;
        let (Some(first), Some(second)) = (first, second) else {
            return Ok(());
        };
        rounds.push(if round % 2 == 0 {
            (first, second)
        } else {
            (second, first)
        });
    }
    let latency: Vec<f64> = rounds.iter().map(|(a, b)| a.latency / b.latency).collect();
    let cpu: Vec<f64> = rounds.iter().map(|(a, b)| a.cpu / b.cpu).collect();
    let claims = [
        (compare::LATENCY, &expected.latency, latency),
        (compare::CPU, &expected.cpu, cpu),
    ];
    for (what, bound, ratios) in claims {
        let Some(bound) = bound else { continue };
        let bound = range::share(bound)?;
        let name = format!("{} against {}", expected.probe, expected.against);
        let mut check = compare::judge(&name, what, bound, &ratios, run.ctx.session.rates);
        check.contrast = expected.must_fail.iter().any(|name| name == what);
        run.checked(number, check);
    }
    Ok(())
}

fn single(run: &Run<'_>, name: &str) -> Result<ResolvedProbe, StepError> {
    let mut all = run.resolved(&Step::Probe(Probe(name.to_owned())))?;
    match all.pop() {
        Some(probe) if all.is_empty() => Ok(probe),
        _ => Err(VersusError::Several(name.to_owned()).into()),
    }
}

async fn cost(
    run: &mut Run<'_>,
    number: StepNumber,
    probe: &ResolvedProbe,
    with_cpu: bool,
) -> Result<Option<Cost>, StepError> {
    let before = if with_cpu {
        used(run, probe).await?
    } else {
        0.0
    };
    let outcome: Outcome = run.once(probe, &[], None).await?;
    let after = if with_cpu {
        used(run, probe).await?
    } else {
        0.0
    };
    let held = |check: &Check| check.result == CheckResult::Holds;
    if !outcome.checks.iter().all(held) {
        run.take(number, &probe.name, outcome);
        return Ok(None);
    }
    run.min_ms += outcome.took_ms;
    Ok(Some(Cost {
        latency: outcome.median_us,
        cpu: after - before,
    }))
}

/// Returns the processor time that the calling program and its `istio-proxy` container have used
/// so far, in microseconds.
async fn used(run: &Run<'_>, probe: &ResolvedProbe) -> Result<f64, StepError> {
    let pod = run.ns.pod(run.ctx, &probe.request.from)?;
    let control = run.ctx.port(&run.ns.name, &pod, CONTROL_PORT);
    let reported = control.json("/v1/cpu").await.map_err(StepError::Server)?;
    let own = reported["cpu_us"].as_f64();
    let own = own.ok_or_else(|| VersusError::NoTime(pod.clone()))?;
    let proxy = in_proxy(run, &pod).await;
    let proxy = proxy.map_err(|source| VersusError::Proxy { pod, source })?;
    Ok(own + proxy / 1000.0)
}

/// Returns the processor time of the container `istio-proxy`, in nanoseconds. 0 in a pod without
/// one.
async fn in_proxy(run: &Run<'_>, pod: &str) -> Result<f64, LookError> {
    let all = run.ctx.pods.of(&run.ns.name);
    if !all
        .iter()
        .any(|one| one.name_any() == pod && is_injected(one))
    {
        return Ok(0.0);
    }
    let api: Api<Pod> = Api::namespaced(run.ctx.client.clone(), &run.ns.name);
    let how = AttachParams::default()
        .container(PROXY)
        .stdout(true)
        .stderr(false);
    let command = ["sh", "-c", RUN_TIMES];
    let process = api.exec(pod, command, &how).await;
    let mut process = process.map_err(|error| LookError::Exec(Box::new(error)))?;
    let mut text = String::new();
    if let Some(mut out) = process.stdout() {
        out.read_to_string(&mut text).await?;
    }
    let ended = process.join().await;
    ended.map_err(|error| LookError::End(Box::new(error)))?;
    run_time(&text).ok_or(LookError::Nothing)
}

/// Adds up the first fields of all lines. `None` if there are none.
fn run_time(text: &str) -> Option<f64> {
    let times = text
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    times.reduce(|a, b| a + b)
}

#[cfg(test)]
mod tests {
    use super::run_time;

    #[test]
    fn run_times_of_all_threads_are_added() {
        assert_eq!(run_time("1000 5 2\n250 1 1\n"), Some(1250.0));
        assert_eq!(run_time("sh: not found\n"), None);
    }
}
