//! Restarting the control plane under a running scenario.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams},
};
use tokio::time::{Instant, sleep};

use super::context::Context;
use crate::{
    cluster::pods,
    mesh::istio::{
        found::{ISTIOD, ISTIOD_DEBUG_PORT},
        install::NAMESPACE,
    },
};

/// How long a new istiod may take.
const DEADLINE: Duration = Duration::from_secs(120);

/// Deletes istiod's pods; returns when all of them are gone, another is ready, and configuration goes through it.
///
/// # Errors
/// In words: what is still there, or not yet.
pub async fn restart(ctx: &Context) -> Result<(), String> {
    let api: Api<Pod> = Api::namespaced(ctx.client.clone(), NAMESPACE);
    let words = |error: kube::Error| format!("istiod's pods: {error}");
    let selected = ListParams::default().labels(ISTIOD);
    let old: Vec<String> = api
        .list(&selected)
        .await
        .map_err(words)?
        .iter()
        .map(|pod| pod.name_any())
        .collect();
    for pod in &old {
        api.delete(pod, &DeleteParams::default())
            .await
            .map_err(words)?;
    }
    let deadline = Instant::now() + DEADLINE;
    loop {
        let now = api.list(&selected).await.map_err(words)?;
        let gone = now.iter().all(|pod| !old.contains(&pod.name_any()));
        let fresh = now
            .iter()
            .find(|pod| pods::is_ready(pod) && !old.contains(&pod.name_any()));
        if let Some(fresh) = fresh.filter(|_| gone) {
            let debug = ctx.port(NAMESPACE, &fresh.name_any(), ISTIOD_DEBUG_PORT);
            ctx.applier.follow(debug);
            return Ok(());
        }
        if Instant::now() > deadline {
            let names: Vec<String> = now.iter().map(|pod| pod.name_any()).collect();
            return Err(format!(
                "after {DEADLINE:?} istiod's pods are {}",
                names.join(", ")
            ));
        }
        sleep(Duration::from_millis(50)).await;
    }
}
