//! Checks whether a configuration is live in data planes whose contents are compared (proxyless
//! gRPC).
//!
//! Such a program reports the resources of its xDS clients, and istiod reports what it would send
//! on the same connection (`/debug/config_dump`). The two are compared by content, once istiod's
//! view of that connection is at least as new as the push that brought the marker to the ingress
//! gateway. The program itself cannot show the marker, because pilot-agent serves a single xDS
//! stream at a time and grpc-go opens one for each target. Resources that no open channel watches
//! are not compared: a new channel requests them and gets the newest version.

use futures::future::try_join_all;
use http::Method;
use serde_json::Value;
use tokio::time::Instant;

use super::{change::PropagationError, marker};
use crate::mesh::istio::control_plane::ControlPlane;
use crate::{
    errors::chain,
    observe::data_plane::{AskError, Lag, Plane, envoy::newest, grpc::version},
    timeouts::timeouts,
    transport::http::{HttpError, PodPort},
    wait::{self, Look},
};

/// Waits until every program has what its control plane would send, starting with the push of
/// this epoch's marker. `reference` is a proxy of the same control plane, whose connection shows
/// the marker in the debug interface.
///
/// # Errors
/// [`PropagationError::Nack`] for a resource that the program rejected.
/// [`PropagationError::NotLive`] with the last state seen, and immediately if there is no
/// reference proxy.
pub async fn await_live(
    control_plane: &ControlPlane,
    reference: Option<&Plane>,
    (namespace, epoch): (&str, u64),
    programs: Vec<&Plane>,
) -> Result<(), PropagationError> {
    if programs.is_empty() {
        return Ok(());
    }
    let (istiod, limit) = (&control_plane.debug, timeouts().mesh.push);
    let not_live = |proxy: String, last| PropagationError::NotLive {
        proxy,
        epoch,
        limit,
        last,
    };
    let Some(reference) = reference.map(|one| one.id()) else {
        let last = "none of its proxies shows the marker".to_owned();
        return Err(not_live(control_plane.name(), last));
    };
    let began = Instant::now();
    let pushed = wait::until(limit, async |_| {
        has_pushed(istiod, &reference, namespace, epoch).await
    });
    let pushed = pushed.await;
    let pushed = pushed
        .map_err(|error| error.or_late(|late| not_live(reference.clone(), late.last_seen)))?;
    let left = limit.saturating_sub(began.elapsed());
    let waits = programs.iter().map(|program| async {
        let waited = wait::until(left, async |_| holds(istiod, program, pushed).await);
        let waited = waited.await;
        waited.map_err(|error| {
            error.or_late(|late| not_live(program.pod().to_owned(), late.last_seen))
        })
    });
    try_join_all(waits).await.map(drop)
}

/// The number of the push with this epoch's marker that istiod sent to the proxy `reference`.
async fn has_pushed(
    istiod: &PodPort,
    reference: &str,
    namespace: &str,
    epoch: u64,
) -> Result<Look<u64>, PropagationError> {
    let answer = istiod.fetch(Method::GET, &view_path(reference)).await;
    let dump = match &answer {
        Ok(body) => String::from_utf8_lossy(body),
        Err(error) => return Ok(Look::Unmet(chain(error))),
    };
    // Most checks do not find the marker, so the whole dump is parsed only when it is there.
    if newest(&dump, &marker::mark(namespace).prefix) < Some(epoch) {
        return Ok(Look::Unmet("no marker".to_owned()));
    }
    Ok(match serde_json::from_str(&dump) {
        Ok(dump) => Look::Met(version(&dump)),
        Err(error) => Look::Unmet(error.to_string()),
    })
}

/// Whether a program has what istiod would send it, as of a push.
async fn holds(
    istiod: &PodPort,
    program: &Plane,
    pushed: u64,
) -> Result<Look<()>, PropagationError> {
    Ok(match behind(istiod, program, pushed).await {
        Ok(None) => Look::Met(()),
        Ok(Some(Lag::Refused(message))) => {
            let proxy = program.pod().to_owned();
            return Err(PropagationError::Nack { proxy, message });
        }
        Ok(Some(Lag::Late(message))) => Look::Unmet(message),
        Err(error) => Look::Unmet(chain(&error)),
    })
}

/// istiod's configuration for a connected proxy or program.
async fn view(istiod: &PodPort, proxy: &str) -> Result<Value, HttpError> {
    istiod.json(&view_path(proxy)).await
}

fn view_path(proxy: &str) -> String {
    format!("/debug/config_dump?proxyID={proxy}")
}

async fn behind(istiod: &PodPort, program: &Plane, pushed: u64) -> Result<Option<Lag>, AskError> {
    let Some(held) = program.contents().await? else {
        return Ok(None);
    };
    let sent = view(istiod, &program.id()).await?;
    Ok(held.lag(&sent, pushed))
}
