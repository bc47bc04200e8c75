//! Adapts the pods of a namespace that another scenario has left.

use std::collections::BTreeSet;

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;

use super::{
    clean_up,
    maker::{Maker, ScaleError},
    pool::Idle,
    standing::Shape,
};
use crate::{
    cluster::{namespaces, object::ObjectError, pods},
    fixture::workload::WORKLOAD_LABEL,
    run::context::RunContext,
    timeouts::timeouts,
};

/// Why a namespace could not be adapted.
#[derive(Debug, thiserror::Error)]
pub enum ReshapeError {
    #[error("it cannot be annotated with the scenario: {0}")]
    Annotation(#[source] Box<kube::Error>),
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error(transparent)]
    Scale(#[from] ScaleError),
    #[error("its pods are not in the expected state after {seconds:.1} s: {last}")]
    Pods { seconds: f64, last: String },
}

/// Annotates the namespace with the scenario `id`, removes the workloads that are not wanted and
/// adapts the number of pods of the others. Missing workloads are created later.
///
/// # Errors
/// [`ReshapeError`]: the namespace is in an unknown state.
pub async fn reshape(
    ctx: &RunContext,
    id: &str,
    place: &mut Idle,
    wanted: &Shape,
) -> Result<(), ReshapeError> {
    let namespace = &place.root.name;
    let annotated = namespaces::used_by(&ctx.client, namespace, id).await;
    annotated.map_err(|error| ReshapeError::Annotation(Box::new(error)))?;
    let surplus = wanted.surplus(place.standing.shape());
    let surplus: BTreeSet<String> = surplus.into_keys().map(str::to_owned).collect();
    let gone = place.standing.remove(&surplus);
    try_join_all(gone.iter().map(|one| ctx.writer.delete(one))).await?;
    let names: Vec<String> = surplus.iter().cloned().collect();
    clean_up::pods_of(&ctx.client, namespace, &names).await?;
    let scaled = place.standing.adopt_replicas(wanted);
    let scale = scaled
        .iter()
        .map(|(name, replicas)| Maker::Deployment.scale(&ctx.client, namespace, name, *replicas));
    try_join_all(scale).await?;
    if surplus.is_empty() && scaled.is_empty() {
        return Ok(());
    }
    let count = |pods: &[Pod], workload: &str| {
        let mine = pods
            .iter()
            .filter(|pod| pods::label(pod, WORKLOAD_LABEL) == Some(workload));
        let (all, ready): (u32, u32) = mine.fold((0, 0), |(all, ready), pod| {
            (all + 1, ready + u32::from(pods::is_ready(pod)))
        });
        (all, ready)
    };
    let done = |pods: &[Pod]| {
        let mut kept = place.standing.shape().0.iter();
        surplus.iter().all(|name| count(pods, name).0 == 0)
            && kept.all(|(name, one)| count(pods, name) == (one.replicas, one.replicas))
    };
    let limit = timeouts().pods.ready;
    match ctx.pods.until(namespace, limit, done).await {
        Ok(_) => Ok(()),
        Err(last) => Err(ReshapeError::Pods {
            seconds: limit.as_secs_f64(),
            last: pods::brief(&last),
        }),
    }
}
