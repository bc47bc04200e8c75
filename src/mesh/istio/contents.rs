//! "Is this configuration live" in data planes whose contents are compared (proxyless gRPC).
//!
//! Such a program tells what its xDS clients hold, and istiod tells what it would send on the same
//! connection (`/debug/config_dump`). The two are compared by content, once istiod's view of that
//! connection is at least as new as the push in which the ingress gateway got the marker: the
//! marker cannot lie in the program itself, because pilot-agent serves a single xDS stream at a
//! time and grpc-go opens one for each target. Resources that no open channel watches are not
//! there; a new channel asks for them and gets the newest.

use futures::future::try_join_all;
use serde_json::Value;
use tokio::time::Instant;

use super::{change::LiveError, control_plane::ControlPlane, marker};
use crate::{
    errors::chain,
    observe::data_plane::{AskError, Lag, Plane, envoy::newest, grpc::version},
    timeouts::timeouts,
    transport::http::{HttpError, Port},
    wait::{self, Look, TimedOut},
};

/// Waits until every program holds what its control plane has for it, from the push with this
/// generation's marker on. One of the `references` that belongs to this control plane shows the
/// marker to its debug interface.
///
/// # Errors
/// [`LiveError::Nack`] for a resource that the program refused, [`LiveError::NotLive`] with what
/// was last seen.
pub async fn await_live(
    control_plane: &ControlPlane,
    references: &[Plane],
    (namespace, generation): (&str, u64),
    programs: Vec<&Plane>,
) -> Result<(), LiveError> {
    if programs.is_empty() {
        return Ok(());
    }
    let istiod = &control_plane.debug;
    let mut references = references.iter();
    let reference = references.find(|one| one.revision() == control_plane.revision);
    let reference = reference.map_or_else(String::new, |one| one.id());
    let (began, limit) = (Instant::now(), timeouts().mesh.push);
    let not_live = |program: &str| {
        let proxy = program.to_owned();
        move |late: TimedOut| LiveError::NotLive {
            proxy,
            generation,
            limit,
            last: late.last_seen,
        }
    };
    let pushed = wait::until(limit, async |_| {
        has_pushed(istiod, &reference, namespace, generation).await
    });
    let pushed = pushed.await;
    let pushed = pushed.map_err(|error| error.or_late(not_live(&reference)))?;
    let left = limit.saturating_sub(began.elapsed());
    let waits = programs.iter().map(|program| async {
        let waited = wait::until(left, async |_| holds(istiod, program, pushed).await);
        let waited = waited.await;
        waited.map_err(|error| error.or_late(not_live(program.pod())))
    });
    try_join_all(waits).await.map(drop)
}

/// istiod has sent a push with this generation's marker to the proxy `reference`: its number.
async fn has_pushed(
    istiod: &Port,
    reference: &str,
    namespace: &str,
    generation: u64,
) -> Result<Look<u64>, LiveError> {
    Ok(match view(istiod, reference).await {
        Ok(dump)
            if newest(&dump.to_string(), &marker::mark(namespace).prefix) >= Some(generation) =>
        {
            Look::Met(version(&dump))
        }
        Ok(_) => Look::Unmet("no marker".to_owned()),
        Err(error) => Look::Unmet(chain(&error)),
    })
}

/// A program holds what istiod has for it since a push.
async fn holds(istiod: &Port, program: &Plane, pushed: u64) -> Result<Look<()>, LiveError> {
    Ok(match behind(istiod, program, pushed).await {
        Ok(None) => Look::Met(()),
        Ok(Some(Lag::Refused(words))) => {
            let proxy = program.pod().to_owned();
            return Err(LiveError::Nack { proxy, words });
        }
        Ok(Some(Lag::Late(words))) => Look::Unmet(words),
        Err(error) => Look::Unmet(chain(&error)),
    })
}

/// What istiod has for a connected proxy or program.
async fn view(istiod: &Port, proxy: &str) -> Result<Value, HttpError> {
    let path = format!("/debug/config_dump?proxyID={proxy}");
    istiod.json(&path).await
}

async fn behind(istiod: &Port, program: &Plane, pushed: u64) -> Result<Option<Lag>, AskError> {
    let Some(held) = program.contents().await? else {
        return Ok(None);
    };
    let sent = view(istiod, &program.id()).await?;
    Ok(held.lag(&sent, pushed))
}
