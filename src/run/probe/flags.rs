//! Reads the access logs of proxies, and Envoy's response flags in them.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::LogParams};

use super::error::ProbeError;
use crate::{
    mesh::istio::injection::PROXY,
    observe::data_plane::{Plane, log::AccessLogEntry},
    run::context::RunContext,
    timeouts::timeouts,
    wait::{self, Look},
};

/// Number of lines that are read from the end of a log.
const LINES: i64 = 5000;

/// Returns flags by call id, once every call is logged.
///
/// # Errors
/// [`ProbeError::Unlogged`]: some calls were not logged in time.
pub async fn flags(
    ctx: &RunContext,
    proxies: &[Plane],
    prefix: &str,
    calls: usize,
) -> Result<BTreeMap<String, String>, ProbeError> {
    let limit = timeouts().probe.telemetry;
    let waited = wait::until(limit, async |_| {
        let found = logged(ctx, proxies, prefix).await?;
        Ok(match found.len() >= calls {
            true => Look::Met(found),
            false => Look::Unmet(found.len()),
        })
    });
    let pods = proxies.iter().map(|proxy| proxy.pod());
    waited.await.map_err(|error| {
        error.or_late(|late| ProbeError::Unlogged {
            pods: pods.collect::<Vec<_>>().join(", "),
            found: late.last_seen,
            calls,
            limit,
        })
    })
}

async fn logged(
    ctx: &RunContext,
    proxies: &[Plane],
    prefix: &str,
) -> Result<BTreeMap<String, String>, ProbeError> {
    Ok(of_calls(all_rows(ctx, proxies).await?, prefix))
}

/// Like [`rows`], for several proxies, in order.
///
/// # Errors
/// As [`rows`].
pub async fn all_rows(
    ctx: &RunContext,
    proxies: &[Plane],
) -> Result<Vec<AccessLogEntry>, ProbeError> {
    let logs = proxies.iter().map(|proxy| rows(ctx, proxy));
    Ok(try_join_all(logs).await?.concat())
}

/// Returns the last access-log lines of a proxy, after flushing those that it has not written
/// yet.
///
/// # Errors
/// [`ProbeError::Log`]: the API server does not return the log.
pub async fn rows(ctx: &RunContext, proxy: &Plane) -> Result<Vec<AccessLogEntry>, ProbeError> {
    proxy.flush_log().await;
    let log = log(ctx, proxy.namespace(), proxy.pod(), LINES).await?;
    Ok(proxy.rows(&log))
}

/// Returns the last log lines of the proxy of a pod.
///
/// # Errors
/// [`ProbeError::Log`]: the API server does not return the log.
pub async fn log(
    ctx: &RunContext,
    namespace: &str,
    pod: &str,
    lines: i64,
) -> Result<String, ProbeError> {
    let api: Api<Pod> = Api::namespaced(ctx.client.clone(), namespace);
    let params = LogParams {
        container: Some(PROXY.into()),
        tail_lines: Some(lines),
        ..LogParams::default()
    };
    api.logs(pod, &params)
        .await
        .map_err(|error| ProbeError::Log {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            error: Box::new(error),
        })
}

/// Returns the flags of the calls whose ids have this prefix.
fn of_calls(rows: Vec<AccessLogEntry>, prefix: &str) -> BTreeMap<String, String> {
    let ours = rows.into_iter().filter(|row| row.call.starts_with(prefix));
    let pairs = ours.map(|row| {
        let flags = row.fields.get("response_flags").cloned();
        (row.call, flags.unwrap_or_else(|| "-".to_owned()))
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::of_calls;
    use crate::observe::data_plane::log::rows;

    #[test]
    fn only_lines_of_these_calls_count() {
        let log = "text\n{\"meshproof_call\":\"a-1\",\"response_flags\":\"NR\"}\n{\"meshproof_call\":\"b-1\",\"response_flags\":\"UH\"}\n{\"meshproof_call\":null}\n";
        let found = of_calls(rows(log), "a-");
        assert_eq!(found.get("a-1").map(String::as_str), Some("NR"));
        assert_eq!(found.len(), 1);
    }
}
