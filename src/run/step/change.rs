//! The verbs that change servers or proxies, and those that wait for a state.

use http::Method;
use k8s_openapi::api::core::v1::Pod;
use testbed::control::CONTROL_PORT;

use super::{configuration, error::StepError};
use crate::{
    cluster::pods,
    errors::chain,
    fixture::workload::WORKLOAD_LABEL,
    run::{namespace::error::NamespaceError, probe::telemetry, state::Run, stop::Stop},
    scenario::{
        model::{Churn, ConfigureServer, ExpectReady, WaitForStat},
        range::{self, ValueError},
        script,
        verb::Verb as _,
    },
    verdict::outcome::{Check, CheckResult},
    wait::{self, Look},
};

/// Configures every ready pod of a workload.
pub async fn configure_server(run: &Run<'_>, step: &ConfigureServer) -> Result<(), StepError> {
    if step.health.is_some() {
        run.ns.guard.ask(&step.workload);
    }
    // Called for its error, which describes the pods.
    run.ns.pod(run.ctx, &step.workload)?;
    let pods = run.ns.pods(run.ctx).remove(&step.workload);
    let pods = pods.unwrap_or_default();
    let script = script::script(step.script.as_ref()).map_err(StepError::Script)?;
    for pod in pods {
        let port = run.ctx.port(&run.ns.name, &pod, CONTROL_PORT);
        let send = async |method: Method, path: &str, body: Vec<u8>| {
            let sent = port.send(method, path, body).await;
            sent.map(drop).map_err(StepError::Server)
        };
        if let Some(script) = &script {
            let body = serde_json::to_vec(script)?;
            send(Method::PUT, "/v1/script", body).await?;
        }
        if let Some(health) = step.health {
            let path = format!("/v1/health?service=&status={}", health.as_str());
            send(Method::PUT, &path, Vec::new()).await?;
        }
        if step.go_away {
            send(Method::POST, "/v1/goaway?age_ms=0", Vec::new()).await?;
        }
    }
    Ok(())
}

/// Ends the run `id` of a caller. It may have ended already.
pub async fn finish(run: &Run<'_>, from: &str, id: &str) -> Result<(), NamespaceError> {
    let pod = run.ns.pod(run.ctx, from)?;
    let port = run.ctx.port(&run.ns.name, &pod, CONTROL_PORT);
    let path = format!("/v1/finish?id={id}");
    if let Err(error) = port.send(Method::POST, &path, Vec::new()).await {
        tracing::debug!(error = chain(&error), "nothing to finish");
    }
    Ok(())
}

/// Causes pushes by applying and deleting a file.
pub async fn churn(run: &mut Run<'_>, churn: &Churn) -> Result<(), Stop> {
    for push in 0..churn.times {
        if push % 2 == 0 {
            configuration::apply(run, &churn.apply).await?;
        } else {
            configuration::delete(run, &churn.apply).await?;
        }
    }
    Ok(())
}

/// Checks that the given number of pods of a workload become ready.
pub async fn expect_ready(run: &Run<'_>, step: &ExpectReady) -> Result<Check, ValueError> {
    let within = range::duration(&step.within)?;
    let count = |pods: &[Pod]| {
        let mine = pods
            .iter()
            .filter(|pod| pods::label(pod, WORKLOAD_LABEL) == Some(step.workload.as_str()));
        mine.filter(|pod| pods::is_ready(pod)).count()
    };
    let expected = step.pods as usize;
    let namespace = &run.ns.name;
    let waited = run
        .ctx
        .pods
        .until(namespace, within, |pods: &[Pod]| count(pods) == expected);
    let began = std::time::Instant::now();
    let (mut result, pods) = match waited.await {
        Ok(pods) => (CheckResult::Holds, pods),
        Err(pods) => (CheckResult::Refuted, pods),
    };
    let (mut actual, mut class) = (format!("{} ready", count(&pods)), None);
    if result == CheckResult::Refuted
        && let Some(cause) = run.slowed(began, within).await
    {
        (result, actual) = (CheckResult::Undecided, format!("{cause}; seen: {actual}"));
        class = Some(cause.class);
    }
    Ok(Check {
        probe: step.workload.clone(),
        matcher: ExpectReady::NAME.to_owned(),
        expected: format!("{expected} ready within {}", step.within),
        actual,
        result,
        contrast: false,
        samples: 1,
        method: String::new(),
        alpha: None,
        class,
    })
}

/// Waits until a counter of a workload's proxies has grown by, or reached, the expected value.
pub async fn wait_for_stat(run: &Run<'_>, wait: &WaitForStat) -> Result<(), StepError> {
    let within = range::duration(&wait.within)?;
    let start = if wait.from_zero {
        0
    } else {
        read(run, wait).await?
    };
    let waited = wait::until(within, async |_| {
        let grown = read(run, wait).await?.saturating_sub(start);
        Ok(match grown >= wait.at_least {
            true => Look::Met(()),
            false => Look::Unmet(grown),
        })
    });
    waited.await.map_err(|error| {
        error.or_late(|late| StepError::Counter {
            stat: wait.stat.clone(),
            at: wait.at.clone(),
            grown: late.last_seen,
            expected: wait.at_least,
            within: wait.within.clone(),
        })
    })
}

async fn read(run: &Run<'_>, wait: &WaitForStat) -> Result<u64, StepError> {
    let mut sum = 0;
    for proxy in telemetry::proxies(run.ctx, &run.ns, &wait.at) {
        sum += proxy.counter(&wait.stat).await.map_err(StepError::Proxy)?;
    }
    Ok(sum)
}
