//! Cleans up a scenario's namespace once its verdict is known.

use futures::future::try_join_all;
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet},
    batch::v1::Job,
    core::v1::{Pod, Service},
};
use kube::{
    Client,
    api::{DeleteParams, ListParams},
};

use crate::{
    cluster::{
        namespaces,
        object::{self, ObjectError, Written},
    },
    errors::chain,
    event::EventKind,
    fixture::workload::WORKLOAD_LABEL,
    run::context::{CleanupPolicy, RunContext},
};

/// Cleans up the namespace `root` of a scenario according to the run's policy, or marks it as
/// kept. Emits a note for every failure.
pub async fn end(ctx: &RunContext, root: &Written, configuration: &[Written], keep: bool) {
    let (client, name) = (&ctx.client, &root.name);
    // Objects outside affect others, so they are deleted even if the rest is kept.
    for text in ctx.writer.remove_outside(configuration, name).await {
        ctx.recorder.emit(EventKind::Note { text });
    }
    let done = match (keep, ctx.session.cleanup) {
        (_, CleanupPolicy::WithTheWorld) | (true, CleanupPolicy::Emptied) => return,
        (true, CleanupPolicy::Deleted) => match namespaces::keep(client, name).await {
            Ok(()) => return,
            Err(error) => Err(format!("cannot be marked as kept: {error}")),
        },
        (false, CleanupPolicy::Deleted) => {
            let done = namespaces::end(client, root).await;
            done.map_err(|error| format!("cannot be deleted: {}", chain(&error)))
        }
        (false, CleanupPolicy::Emptied) => {
            let done = empty(client, name, configuration).await;
            done.map_err(|error| format!("cannot be emptied: {}", chain(&error)))
        }
    };
    if let Err(message) = done {
        let text = format!("namespace {name} {message}");
        ctx.recorder.emit(EventKind::Note { text });
    }
}

/// Deletes what runs in a namespace and the mesh configuration for it. Pods end at once, without
/// a grace period.
///
/// # Errors
/// The API server does not delete an object.
async fn empty(
    client: &Client,
    namespace: &str,
    configuration: &[Written],
) -> Result<(), ObjectError> {
    let (gentle, all) = (DeleteParams::background(), ListParams::default());
    // Owners before their dependents, which they would otherwise recreate.
    object::delete_these::<Deployment>(client, namespace, &gentle, &all).await?;
    object::delete_these::<StatefulSet>(client, namespace, &gentle, &all).await?;
    object::delete_these::<DaemonSet>(client, namespace, &gentle, &all).await?;
    object::delete_these::<Job>(client, namespace, &gentle, &all).await?;
    object::delete_these::<ReplicaSet>(client, namespace, &gentle, &all).await?;
    let objects = configuration
        .iter()
        .map(|written| object::delete(client, written));
    let at_once = DeleteParams::default().grace_period(0);
    tokio::try_join!(
        object::delete_these::<Pod>(client, namespace, &at_once, &all),
        object::delete_these::<Service>(client, namespace, &gentle, &all),
        try_join_all(objects),
    )?;
    Ok(())
}

/// Deletes the pods of Deployments that were deleted, at once and before the garbage collector
/// does.
///
/// # Errors
/// The API server does not delete an object.
pub async fn pods_of(
    client: &Client,
    namespace: &str,
    workloads: &[String],
) -> Result<(), ObjectError> {
    if workloads.is_empty() {
        return Ok(());
    }
    let these = format!("{WORKLOAD_LABEL} in ({})", workloads.join(","));
    let these = ListParams::default().labels(&these);
    let at_once = DeleteParams::default().grace_period(0);
    object::delete_these::<ReplicaSet>(client, namespace, &DeleteParams::background(), &these)
        .await?;
    object::delete_these::<Pod>(client, namespace, &at_once, &these).await
}
