//! Checks whether a gateway serves a certificate: the content of SDS, not its version.

use std::time::Duration;

use crate::{
    errors::{Classified, ErrorClass, chain},
    observe::data_plane::{Plane, spec::Served},
    timeouts::timeouts,
    wait::{self, Look},
};

/// A gateway did not load the content of its Secrets in time.
#[derive(Debug, thiserror::Error)]
#[error("gateway {proxy} did not load its certificates within {limit:?}: {last}")]
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

/// Waits until the gateway has the current content of every Secret in `current` that it uses.
/// Listeners are waited for only as long as nothing else is missing: a listener that refers to a
/// Secret that does not exist never becomes ready, and a scenario may test that.
///
/// # Errors
/// The first Secret or listener that is not ready at the deadline.
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
