//! Versions of a cluster and its mesh, as they report them themselves.

use std::{collections::BTreeMap, time::Duration};

use http::Method;
use kube::Client;
use tokio::time::timeout;

use super::discovery::{self, DiscoveryError};
use crate::{
    errors::{Classified, ErrorClass},
    observe::data_plane::AskError,
    timeouts::timeouts,
    transport::{
        PodDialer,
        http::{HttpError, PodPort},
    },
};

/// istiod's port for metrics and its version.
const ISTIOD_MONITORING_PORT: u16 = 15014;

/// An error reading versions.
#[derive(Debug, thiserror::Error)]
pub enum VersionsError {
    #[error("the API server did not answer within {0:?}")]
    Silent(Duration),
    #[error("cannot read the API server's version")]
    Server(#[source] Box<kube::Error>),
    #[error(transparent)]
    Find(#[from] DiscoveryError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Proxy(#[from] AskError),
}

impl Classified for VersionsError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Silent(_) | Self::Http(_) => ErrorClass::Mesh,
            Self::Server(error) => error.class(),
            Self::Find(error) => error.class(),
            Self::Proxy(error) => error.class(),
        }
    }
}

/// `kubernetes`, `istio` and, where there is a gateway, `envoy`.
///
/// # Errors
/// [`VersionsError`]: one of the components does not answer.
pub async fn of(
    client: &Client,
    dial: &PodDialer,
) -> Result<BTreeMap<String, String>, VersionsError> {
    let limit = timeouts().mesh.first_answer;
    let server = timeout(limit, client.apiserver_version()).await;
    let server = server
        .map_err(|_| VersionsError::Silent(limit))?
        .map_err(|error| VersionsError::Server(Box::new(error)))?;
    let endpoints = discovery::find(client, dial).await?;
    let monitoring = PodPort {
        port: ISTIOD_MONITORING_PORT,
        ..endpoints.control_planes.first().debug.clone()
    };
    let mut versions = BTreeMap::from([
        ("kubernetes".to_owned(), server.git_version),
        (
            "istio".to_owned(),
            istio(&ask(&monitoring, "/version").await?),
        ),
    ]);
    if let Some(gateway) = endpoints.gateways.first() {
        versions.insert("envoy".to_owned(), gateway.build().await?.version);
    }
    Ok(versions)
}

async fn ask(port: &PodPort, path: &str) -> Result<String, HttpError> {
    let body = port.fetch(Method::GET, path).await?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// istiod reports `VERSION-REVISION-STATUS`. The version itself may contain dashes.
fn istio(answer: &str) -> String {
    let answer = answer.trim().trim_matches('"');
    let mut parts: Vec<&str> = answer.rsplitn(3, '-').collect();
    match (parts.pop(), parts.pop()) {
        (Some(version), Some(revision)) if !revision.is_empty() => {
            format!("{version} ({revision})")
        }
        _ => answer.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("1.31.1-0123abc-Clean", "1.31.1 (0123abc)")]
    #[case("1.31-dev-0123abc-Clean\n", "1.31-dev (0123abc)")]
    #[case("unknown", "unknown")]
    fn istiods_words_become_a_version(#[case] answer: &str, #[case] version: &str) {
        assert_eq!(istio(answer), version);
    }
}
