//! Waiting until a side system takes work.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{Instant, MissedTickBehavior, interval, timeout, timeout_at},
};

use super::{Endpoint, Ready, Side, SideError, tail::tail};

/// How often it is asked.
const PACE: Duration = Duration::from_millis(100);
/// How long one question may take.
const QUESTION: Duration = Duration::from_secs(2);

/// Asks until the answer is yes, the system has ended, or `limit` is over.
pub(super) async fn wait(side: &mut Side, ready: &Ready, limit: Duration) -> Result<(), SideError> {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = "nothing".to_owned();
    let asking = async {
        loop {
            pace.tick().await;
            match is_ready(side, ready).await {
                Ok(()) => return Ok(()),
                Err(words) => last = words,
            }
            if let Some(how) = side.ended().await {
                return Err(how);
            }
        }
    };
    let asked = timeout_at(Instant::now() + limit, asking).await;
    match asked {
        Ok(Ok(())) => Ok(()),
        Ok(Err(how)) => Err(SideError::Ended {
            name: side.name().to_owned(),
            how,
            log: tail(&side.log().await),
        }),
        Err(_) => Err(SideError::NotReady {
            name: side.name().to_owned(),
            limit,
            what: ready.to_string(),
            last,
            log: tail(&side.log().await),
        }),
    }
}

async fn is_ready(side: &Side, ready: &Ready) -> Result<(), String> {
    match ready {
        Ready::Log(text) => match side.log().await.contains(text.as_str()) {
            true => Ok(()),
            false => Err("a log without it".to_owned()),
        },
        Ready::Http { port, path } => {
            let endpoint = side.endpoint(*port);
            let endpoint = endpoint.ok_or_else(|| format!("port {port} is none of its ports"))?;
            let asked = timeout(QUESTION, get(&endpoint, path)).await;
            asked.map_err(|_| format!("no answer within {QUESTION:?}"))?
        }
    }
}

async fn get(endpoint: &Endpoint, path: &str) -> Result<(), String> {
    let words = |error: &dyn std::error::Error| crate::errors::chain(error);
    let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await;
    let stream = stream.map_err(|error| words(&error))?;
    let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|error| words(&error))?;
    let connection = tokio::spawn(connection);
    let request = Request::get(path)
        .header("host", endpoint.to_string())
        .body(Empty::<Bytes>::new())
        .map_err(|error| words(&error))?;
    let answer = sender.send_request(request).await;
    connection.abort();
    match answer.map_err(|error| words(&error))?.status() {
        status if status.is_success() => Ok(()),
        status => Err(status.to_string()),
    }
}
