//! Waits until an auxiliary service is ready.

use std::{io, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, sync::Mutex, time::timeout};

use super::{AuxService, AuxServiceError, Endpoint, ReadinessCheck, tail::tail};
use crate::{
    errors::chain,
    wait::{self, Look, WaitError},
};

/// Timeout of one check.
const QUESTION: Duration = Duration::from_secs(2);

/// Polls until the service is ready, it has exited, or `limit` has passed.
pub(super) async fn wait(
    side: &mut AuxService,
    ready: &ReadinessCheck,
    limit: Duration,
) -> Result<(), AuxServiceError> {
    let asking = Mutex::new(&mut *side);
    let asked = wait::until(limit, async |_| {
        let mut side = asking.lock().await;
        let seen = look(&side, ready).await;
        match &seen {
            Look::Met(()) => Ok(seen),
            Look::Unmet(_) => match side.ended().await {
                Some(how) => Err(how),
                None => Ok(seen),
            },
        }
    });
    let asked = asked.await;
    match asked {
        Ok(()) => Ok(()),
        Err(WaitError::Failed(how)) => Err(AuxServiceError::Ended {
            name: side.name().to_owned(),
            how,
            log: tail(&side.log().await),
        }),
        Err(WaitError::TimedOut(late)) => Err(AuxServiceError::NotReady {
            name: side.name().to_owned(),
            limit,
            what: ready.to_string(),
            last: late.last_seen,
            log: tail(&side.log().await),
        }),
    }
}

async fn look(side: &AuxService, ready: &ReadinessCheck) -> Look<()> {
    match ready {
        ReadinessCheck::Log(text) => match side.log().await.contains(text.as_str()) {
            true => Look::Met(()),
            false => Look::Unmet("not in the log".to_owned()),
        },
        ReadinessCheck::Http { port, path } => {
            let Some(endpoint) = side.endpoint(*port) else {
                return Look::Unmet(format!("port {port} is not one of its ports"));
            };
            match timeout(QUESTION, get(&endpoint, path)).await {
                Ok(Ok(status)) if status.is_success() => Look::Met(()),
                Ok(Ok(status)) => Look::Unmet(status.to_string()),
                Ok(Err(error)) => Look::Unmet(chain(&error)),
                Err(_) => Look::Unmet(format!("no answer within {QUESTION:?}")),
            }
        }
    }
}

/// An error of a readiness request.
#[derive(Debug, thiserror::Error)]
enum GetError {
    #[error(transparent)]
    Connect(#[from] io::Error),
    #[error(transparent)]
    Request(#[from] http::Error),
    #[error(transparent)]
    Http(#[from] hyper::Error),
}

async fn get(endpoint: &Endpoint, path: &str) -> Result<StatusCode, GetError> {
    let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?;
    let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken?;
    let connection = tokio::spawn(connection);
    let request = Request::get(path)
        .header("host", endpoint.to_string())
        .body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await;
    connection.abort();
    Ok(answer?.status())
}
