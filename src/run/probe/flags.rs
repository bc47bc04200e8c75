//! Envoy's response flags, out of the access log of the proxy that an expectation names.

use std::collections::BTreeMap;

use http::Method;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::LogParams};
use serde_json::Value;

use super::error::ProbeError;
use crate::{
    mesh::istio::capabilities::LOG_FIELD,
    observe::envoy::ADMIN_PORT,
    run::context::Context,
    timeouts::timeouts,
    wait::{self, Look},
};

/// Flags by call id (`response_flags` by `meshproof_call` in the JSON access log), once every call is there.
///
/// # Errors
/// How many are missing, when the time for it is over.
pub async fn flags(
    ctx: &Context,
    namespace: &str,
    pods: &[String],
    prefix: &str,
    calls: usize,
) -> Result<BTreeMap<String, String>, ProbeError> {
    let limit = timeouts().probe.telemetry;
    let waited = wait::until(limit, async |_| {
        let found = logged(ctx, namespace, pods, prefix).await?;
        Ok(match found.len() >= calls {
            true => Look::Met(found),
            false => Look::Unmet(found.len()),
        })
    });
    waited.await.map_err(|error| {
        error.or_late(|late| ProbeError::Unlogged {
            pods: pods.join(", "),
            found: late.last_seen,
            calls,
            limit,
        })
    })
}

async fn logged(
    ctx: &Context,
    namespace: &str,
    pods: &[String],
    prefix: &str,
) -> Result<BTreeMap<String, String>, ProbeError> {
    let mut found = BTreeMap::new();
    for pod in pods {
        let _ = ctx
            .port(namespace, pod, ADMIN_PORT)
            .fetch(Method::POST, "/reopen_logs")
            .await;
        found.extend(parse(&log(ctx, namespace, pod, 5000).await?, prefix));
    }
    Ok(found)
}

/// The last lines of a proxy's log.
///
/// # Errors
/// [`ProbeError::Log`]: the API server does not give it.
pub async fn log(
    ctx: &Context,
    namespace: &str,
    pod: &str,
    lines: i64,
) -> Result<String, ProbeError> {
    let api: Api<Pod> = Api::namespaced(ctx.client.clone(), namespace);
    let params = LogParams {
        container: Some("istio-proxy".into()),
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

fn parse(log: &str, prefix: &str) -> BTreeMap<String, String> {
    let entries = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let pairs = entries.filter_map(|entry| {
        let call = entry.get(LOG_FIELD)?.as_str()?.to_owned();
        let flag = entry
            .get("response_flags")
            .and_then(Value::as_str)
            .unwrap_or("-")
            .to_owned();
        call.starts_with(prefix).then_some((call, flag))
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn only_lines_of_these_calls_count() {
        let log = "text\n{\"meshproof_call\":\"a-1\",\"response_flags\":\"NR\"}\n{\"meshproof_call\":\"b-1\",\"response_flags\":\"UH\"}\n{\"meshproof_call\":null}\n";
        let found = parse(log, "a-");
        assert_eq!(found.get("a-1").map(String::as_str), Some("NR"));
        assert_eq!(found.len(), 1);
    }
}
