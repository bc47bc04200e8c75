//! "Does this gateway serve this certificate": content of SDS, not versions.

use std::time::Duration;

use crate::{
    errors::{Classified, ErrorClass, chain},
    observe::data_plane::{Plane, spec::Served},
    timeouts::timeouts,
    wait::{self, Look},
};

/// Why a gateway is not known to serve what a Secret holds.
#[derive(Debug, thiserror::Error)]
#[error("gateway {proxy} did not take the certificates within {limit:?}: {last}")]
pub struct SecretError {
    proxy: String,
    limit: Duration,
    last: String,
}

impl Classified for SecretError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Mesh
    }
}

/// Waits until every Secret of `current` that the gateway uses is there in its present state.
/// Listeners are waited for as long as nothing but them is missing: one that wants a Secret nobody
/// wrote never becomes ready, which a scenario may want to see.
///
/// # Errors
/// The first Secret or listener that is late when the deadline is over.
pub async fn await_secrets(gateway: &Plane, current: &[Served]) -> Result<(), SecretError> {
    if current.is_empty() {
        return Ok(());
    }
    let limit = timeouts().mesh.certificates;
    let waited = wait::until(limit, async |_| {
        Ok(match gateway.late_certificate(current).await {
            Ok(None) => Look::Met(()),
            Ok(Some(late)) => Look::Unmet(late),
            Err(error) => Look::Unmet(chain(&error)),
        })
    });
    waited.await.map_err(|error| {
        error.or_late(|late| SecretError {
            proxy: gateway.pod().to_owned(),
            limit,
            last: late.last_seen,
        })
    })
}
