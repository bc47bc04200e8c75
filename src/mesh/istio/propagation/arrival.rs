//! Waits until a change has reached its proxies.

use std::collections::BTreeMap;

use futures::future::{join_all, try_join_all};

use super::{
    change::{Change, PropagationError, SUSPICIOUS},
    contents, marker,
};
use crate::mesh::istio::control_plane::ControlPlanes;
use crate::{
    errors::chain,
    observe::data_plane::{Ability, Plane},
    timeouts::timeouts,
    wait::{self, Look},
};

/// The number of updates that each proxy of a batch had rejected before it, by pod.
pub(super) async fn rejections(proxies: impl Iterator<Item = &Plane>) -> BTreeMap<String, u64> {
    let counts = proxies.map(|proxy| async {
        let count = proxy.rejections().await.ok()?;
        Some((proxy.pod().to_owned(), count))
    });
    join_all(counts).await.into_iter().flatten().collect()
}

pub(super) async fn arrive(
    control_planes: &ControlPlanes,
    change: &Change,
    epoch: u64,
    before: &BTreeMap<String, u64>,
) -> Result<(), PropagationError> {
    let (marked, compared): (Vec<&Plane>, Vec<&Plane>) = change
        .planes
        .iter()
        .partition(|plane| plane.can(Ability::Marks));
    let waits = marked.iter().map(|proxy| async {
        await_marker(proxy, &change.namespace, epoch).await?;
        accepted(proxy, before).await
    });
    try_join_all(waits).await?;
    let mark = (change.namespace.as_str(), epoch);
    let references: Vec<&Plane> = change.references.iter().chain(marked).collect();
    let waits = control_planes.with(&compared).map(|(own, programs)| {
        let mut references = references.iter();
        let reference = references.find(|one| control_planes.of(one).revision == own.revision);
        contents::await_live(own, reference.copied(), mark, programs)
    });
    try_join_all(waits).await.map(drop)
}

/// Whether the proxy rejected nothing. A proxy that rejects new listeners or clusters keeps its
/// old ones, and still accepts the routes.
async fn accepted(proxy: &Plane, before: &BTreeMap<String, u64>) -> Result<(), PropagationError> {
    let pod = proxy.pod();
    let (Some(before), Ok(now)) = (before.get(pod), proxy.rejections().await) else {
        return Ok(());
    };
    if now <= *before {
        return Ok(());
    }
    let message = proxy.rejected().await.ok().flatten();
    Err(PropagationError::Nack {
        proxy: pod.to_owned(),
        message: message.unwrap_or_else(|| format!("{} updates", now - before)),
    })
}

/// Waits until a proxy shows the marker of an epoch, or of a later one.
///
/// # Errors
/// [`PropagationError::Nack`] and [`PropagationError::NotLive`].
pub async fn await_marker(
    proxy: &Plane,
    namespace: &str,
    epoch: u64,
) -> Result<(), PropagationError> {
    let limit = timeouts().mesh.push;
    let mut asked = false;
    let waited = wait::until(limit, |elapsed| {
        let suspicious = !asked && elapsed > SUSPICIOUS;
        asked |= suspicious;
        shows(proxy, namespace, epoch, suspicious)
    });
    waited.await.map_err(|error| {
        error.or_late(|late| PropagationError::NotLive {
            proxy: proxy.pod().to_owned(),
            epoch,
            limit,
            last: late.last_seen,
        })
    })
}

/// Whether the proxy shows that epoch and can use all of its configuration. A `suspicious` proxy
/// is also asked whether it rejected something.
async fn shows(
    proxy: &Plane,
    namespace: &str,
    epoch: u64,
    suspicious: bool,
) -> Result<Look<()>, PropagationError> {
    let last = match proxy.marked(&marker::mark(namespace)).await {
        Ok(Some(shown)) if shown >= epoch => match proxy.unfinished(namespace).await {
            Ok(None) => return Ok(Look::Met(())),
            Ok(Some(message)) => message,
            Err(error) => chain(&error),
        },
        Ok(Some(shown)) => format!("epoch {shown}"),
        Ok(None) => "no marker".to_owned(),
        Err(error) => chain(&error),
    };
    if suspicious && let Ok(Some(message)) = proxy.rejected().await {
        let proxy = proxy.pod().to_owned();
        return Err(PropagationError::Nack { proxy, message });
    }
    Ok(Look::Unmet(last))
}
