//! Access to a world's API server, from inside and from outside.

use std::{convert::Infallible, path::Path, time::Duration};

use kube::Client;

use super::spec::Origin;
use crate::{
    cluster::client,
    errors::chain,
    timeouts::timeouts,
    wait::{self, Look, WaitError},
};

/// The API server was not ready in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the API server did not answer within {limit:?}; last answer: {last}")]
pub struct NotReady {
    pub limit: Duration,
    pub last: String,
}

/// Returns a client as soon as the API server is ready. The kubeconfig appears when the world has
/// created its keys.
///
/// # Errors
/// [`NotReady`], with the last answer.
pub async fn ready(kubeconfig: &Path, origin: &Origin) -> Result<Client, NotReady> {
    ready_within(kubeconfig, checks(origin), timeouts().target.api_server).await
}

/// The health checks to ask for. The API server first compares its RBAC policy and its priority
/// classes with what is stored a second after it begins to answer, and reports both as unready
/// until then. A snapshot has them.
fn checks(origin: &Origin) -> &'static str {
    match origin {
        Origin::Installed | Origin::Recorded(_) => "/readyz",
        Origin::Snapshot(_) => {
            "/readyz?exclude=poststarthook/rbac/bootstrap-roles&exclude=poststarthook/scheduling/bootstrap-system-priority-classes"
        }
    }
}

async fn ready_within(
    kubeconfig: &Path,
    checks: &str,
    limit: Duration,
) -> Result<Client, NotReady> {
    let reached = wait::until(limit, async |_| {
        Ok::<_, Infallible>(look(kubeconfig, checks).await)
    });
    match reached.await {
        Ok(client) => Ok(client),
        Err(WaitError::Failed(never)) => match never {},
        Err(WaitError::TimedOut(late)) => Err(NotReady {
            limit,
            last: late.last_seen,
        }),
    }
}

async fn look(kubeconfig: &Path, checks: &str) -> Look<Client> {
    let client = match client::of(kubeconfig, None).await {
        Ok(client) => client,
        Err(error) => return Look::Unmet(chain(&error)),
    };
    match ask(&client, checks).await {
        Ok(_) => Look::Met(client),
        Err(error) => Look::Unmet(error.to_string()),
    }
}

async fn ask(client: &Client, checks: &str) -> Result<String, kube::Error> {
    let request = http::Request::get(checks).body(Vec::new());
    client
        .request_text(request.map_err(kube::Error::HttpError)?)
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_api_server_that_is_not_ready_is_told_with_its_last_answer() {
        let dir = tempfile::tempdir().unwrap();
        let absent = dir.path().join("kubeconfig");
        let limit = Duration::from_millis(30);
        let error = ready_within(&absent, "/readyz", limit).await.err().unwrap();
        let last = format!("{}: no such file", absent.display());
        assert_eq!(error, NotReady { limit, last });
    }
}
