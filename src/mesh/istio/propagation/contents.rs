//! "Is this configuration live" in data planes whose contents are compared (proxyless gRPC).
//!
//! Such a program tells what its xDS clients hold, and istiod tells what it would send on the same
//! connection (`/debug/config_dump`). The two are compared by content, once istiod's view of that
//! connection is at least as new as the push in which the ingress gateway got the marker: the
//! marker cannot lie in the program itself, because pilot-agent serves a single xDS stream at a
//! time and grpc-go opens one for each target. Resources that no open channel watches are not
//! there; a new channel asks for them and gets the newest.

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

/// Waits until every program holds what its control plane has for it, from the push with this
/// epoch's marker on. The `reference` is a proxy of this control plane, whose connection shows
/// the marker to its debug interface.
///
/// # Errors
/// [`LiveError::Nack`] for a resource that the program refused, [`LiveError::NotLive`] with what
/// was last seen, at once where there is no such proxy.
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
        let last = "no proxy of it shows the marker".to_owned();
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

/// istiod has sent a push with this epoch's marker to the proxy `reference`: its number.
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
    // Few of the looks find it: only then is the whole dump read.
    if newest(&dump, &marker::mark(namespace).prefix) < Some(epoch) {
        return Ok(Look::Unmet("no marker".to_owned()));
    }
    Ok(match serde_json::from_str(&dump) {
        Ok(dump) => Look::Met(version(&dump)),
        Err(error) => Look::Unmet(error.to_string()),
    })
}

/// A program holds what istiod has for it since a push.
async fn holds(
    istiod: &PodPort,
    program: &Plane,
    pushed: u64,
) -> Result<Look<()>, PropagationError> {
    Ok(match behind(istiod, program, pushed).await {
        Ok(None) => Look::Met(()),
        Ok(Some(Lag::Refused(words))) => {
            let proxy = program.pod().to_owned();
            return Err(PropagationError::Nack { proxy, words });
        }
        Ok(Some(Lag::Late(words))) => Look::Unmet(words),
        Err(error) => Look::Unmet(chain(&error)),
    })
}

/// What istiod has for a connected proxy or program.
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
