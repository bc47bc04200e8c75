//! Evidence of pods: their states and their proxies' last log lines.

use futures::future::join_all;
use kube::ResourceExt as _;

use crate::{
    cluster::pods,
    errors::chain,
    evidence::sensitive,
    mesh::istio::injection::is_injected,
    run::{context::RunContext, probe::flags},
};

/// Returns the state of the pods and the last log lines of their proxies, for a scenario that did
/// not pass.
pub async fn pod_evidence(ctx: &RunContext, namespace: &str) -> Vec<(String, String)> {
    let pods = ctx.pods.of(namespace);
    let mut all = vec![(
        "pods.txt".to_owned(),
        pods::report(&ctx.client, &pods).await,
    )];
    let logs = join_all(pods.iter().filter(|pod| is_injected(pod)).map(|pod| async {
        let text = flags::log(ctx, namespace, &pod.name_any(), 200)
            .await
            .unwrap_or_else(|error| chain(&error));
        // A proxy that rejects a program quotes it.
        let text = sensitive::refusal(&text);
        (format!("{}.istio-proxy.log", pod.name_any()), text)
    }));
    all.extend(logs.await);
    all
}
