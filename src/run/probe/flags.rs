//! Envoy's response flags, out of the access log of the proxy that an expectation names.

use crate::mesh::istio::capabilities::LOG_FIELD;
use std::{collections::BTreeMap, time::Duration};

use http::Method;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::LogParams};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{observe::envoy::ADMIN_PORT, run::context::Context};

/// Envoy writes its access log at the latest one second after a request (`--file-flush-interval-msec` of pilot-agent).
const DEADLINE: Duration = Duration::from_secs(10);

/// Flags by call id (`response_flags` by `meshproof_call` in the JSON access log), once every call is there.
///
/// # Errors
/// How many are missing, when the deadline is over.
pub async fn flags(
    ctx: &Context,
    namespace: &str,
    pods: &[String],
    prefix: &str,
    calls: usize,
) -> Result<BTreeMap<String, String>, String> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let mut found = BTreeMap::new();
        for pod in pods {
            let _ = ctx
                .port(namespace, pod, ADMIN_PORT)
                .fetch(Method::POST, "/reopen_logs")
                .await;
            found.extend(parse(&log(ctx, namespace, pod, 5000).await?, prefix));
        }
        if found.len() >= calls {
            return Ok(found);
        }
        if Instant::now() > deadline {
            return Err(format!(
                "the access log of {} has {} of {calls} calls after {DEADLINE:?}",
                pods.join(", "),
                found.len()
            ));
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// The last lines of a proxy's log.
///
/// # Errors
/// In words: the API server does not give it.
pub async fn log(ctx: &Context, namespace: &str, pod: &str, lines: i64) -> Result<String, String> {
    let api: Api<Pod> = Api::namespaced(ctx.client.clone(), namespace);
    let params = LogParams {
        container: Some("istio-proxy".into()),
        tail_lines: Some(lines),
        ..LogParams::default()
    };
    api.logs(pod, &params)
        .await
        .map_err(|error| format!("cannot read the log of {namespace}/{pod}: {error}"))
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
