//! HTTP/1.1 over a stream to a pod: control ports, Envoy's admin port, istiod's debug port.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use crate::target::{Dial, DialError};

/// A port of a pod that speaks HTTP.
#[derive(Debug, Clone)]
pub struct Port {
    pub dial: Dial,
    pub namespace: String,
    pub pod: String,
    pub port: u16,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("{what} of pod {pod}: {words}")]
    Exchange {
        what: String,
        pod: String,
        words: String,
    },
    #[error("{what} of pod {pod} answered {status}: {body}")]
    Status {
        what: String,
        pod: String,
        status: StatusCode,
        body: String,
    },
    #[error("{what} of pod {pod} gave no answer within {limit:?}")]
    Silent {
        what: String,
        pod: String,
        limit: Duration,
    },
}

/// Limit for a small request.
const LIMIT: Duration = Duration::from_secs(10);

impl Port {
    fn exchange(&self, what: &str, words: impl ToString) -> HttpError {
        HttpError::Exchange {
            what: what.to_owned(),
            pod: self.pod.clone(),
            words: words.to_string(),
        }
    }

    /// Sends a request on a connection of its own; the answer's body is still to be read.
    ///
    /// # Errors
    /// When the pod cannot be reached, or answers with anything but success.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Incoming, HttpError> {
        let stream = self
            .dial
            .open(&self.namespace, &self.pod, self.port)
            .await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.exchange(path, error))?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| self.exchange(path, error))?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| self.exchange(path, error))?;
        let status = response.status();
        let body = response.into_body();
        if status.is_success() {
            return Ok(body);
        }
        let body = body
            .collect()
            .await
            .map(|all| all.to_bytes())
            .unwrap_or_default();
        let body = String::from_utf8_lossy(&body).chars().take(300).collect();
        Err(HttpError::Status {
            what: path.to_owned(),
            pod: self.pod.clone(),
            status,
            body,
        })
    }

    /// Sends a request and reads the whole answer, within 10 s.
    ///
    /// # Errors
    /// As [`Self::send`], and when the answer does not come.
    pub async fn fetch(&self, method: Method, path: &str) -> Result<Bytes, HttpError> {
        let exchange = async {
            let body = self.send(method, path, Vec::new()).await?;
            body.collect()
                .await
                .map(|all| all.to_bytes())
                .map_err(|error| self.exchange(path, error))
        };
        let silent = || HttpError::Silent {
            what: path.to_owned(),
            pod: self.pod.clone(),
            limit: LIMIT,
        };
        timeout(LIMIT, exchange).await.map_err(|_| silent())?
    }
}
