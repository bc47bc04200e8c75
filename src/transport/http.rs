//! HTTP/1.1 over a stream to a pod: control ports, Envoy's admin port, istiod's debug port.

use std::{convert::Infallible, error::Error, time::Duration};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::{
    body::{Body, Frame, Incoming},
    client::conn::http1::SendRequest,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::{
    dial::{DialError, PodDialer},
    idle::{PortKey, Sender},
};
use crate::{
    errors::{Classified, ErrorClass},
    timeouts::timeouts,
};

/// A port of a pod that speaks HTTP.
#[derive(Debug, Clone)]
pub struct PodPort {
    pub dial: PodDialer,
    pub namespace: String,
    pub pod: String,
    pub port: u16,
}

/// An error sending an HTTP request to a pod.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("{what} of pod {pod}")]
    Exchange {
        what: String,
        pod: String,
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("{what} of pod {pod} answered {status}: {body}")]
    Status {
        what: String,
        pod: String,
        status: StatusCode,
        body: String,
    },
    #[error("{what} of pod {pod} did not answer within {limit:?}")]
    Silent {
        what: String,
        pod: String,
        limit: Duration,
    },
}

/// This module does not know the other side. These requests are how meshproof observes, so errors
/// are the harness's by default.
impl Classified for HttpError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Dial(error) => error.class(),
            Self::Exchange { .. } | Self::Status { .. } | Self::Silent { .. } => {
                ErrorClass::Harness
            }
        }
    }
}

impl PodPort {
    fn exchange(&self, what: &str, source: impl Into<Box<dyn Error + Send + Sync>>) -> HttpError {
        HttpError::Exchange {
            what: what.to_owned(),
            pod: self.pod.clone(),
            source: source.into(),
        }
    }

    /// Sends a request on a new connection. The caller reads the response body.
    ///
    /// # Errors
    /// When the pod cannot be reached, or answers with anything but success.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Incoming, HttpError> {
        let mut sender = self.connect(path).await?;
        let response = self.ask(&mut sender, method, path, body).await?;
        self.succeeded(path, response).await
    }

    /// Like [`Self::send`], with a request body that continues while the response is read: the
    /// text on one line, then an empty line every `beat`, which shows the receiver that this
    /// process is alive.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn send_on(
        &self,
        path: &str,
        text: Vec<u8>,
        beat: Duration,
    ) -> Result<Incoming, HttpError> {
        let lines = stream::unfold(Some(text), move |text| async move {
            let mut line = match text {
                Some(text) => text,
                None => {
                    sleep(beat).await;
                    Vec::new()
                }
            };
            line.push(b'\n');
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from(line))), None))
        });
        let request = request(Method::POST, path, StreamBody::new(lines.boxed()));
        let request = request.map_err(|error| self.exchange(path, error))?;
        let mut sender = self.handshaken(path).await?;
        let response = sender.send_request(request).await;
        let response = response.map_err(|error| self.exchange(path, error))?;
        self.succeeded(path, response).await
    }

    /// Sends a request without a body and reads the whole response, within 10 s
    /// ([`crate::timeouts::PodTimeouts::answer`]).
    ///
    /// # Errors
    /// As [`Self::send`], and if the response is late.
    pub async fn fetch(&self, method: Method, path: &str) -> Result<Bytes, HttpError> {
        let limit = timeouts().pods.answer;
        let silent = || HttpError::Silent {
            what: path.to_owned(),
            pod: self.pod.clone(),
            limit,
        };
        let exchange = self.exchanged(method, path);
        timeout(limit, exchange).await.map_err(|_| silent())?
    }

    /// Fetches a JSON document. It is parsed by code that is optimised in every profile
    /// (`Value::from_str` is compiled in serde_json, generic functions would be compiled in this
    /// crate), because dumps of a mesh are large and read often.
    ///
    /// # Errors
    /// As [`Self::fetch`], and if the response is not JSON.
    pub async fn json(&self, path: &str) -> Result<Value, HttpError> {
        let body = self.fetch(Method::GET, path).await?;
        String::from_utf8_lossy(&body)
            .parse()
            .map_err(|error: serde_json::Error| {
                self.exchange(path, format!("the response is not JSON: {error}"))
            })
    }

    async fn exchanged(&self, method: Method, path: &str) -> Result<Bytes, HttpError> {
        let (sender, response) = self.answered(method, path).await?;
        let body = self.succeeded(path, response).await?.collect().await;
        let body = body.map_err(|error| self.exchange(path, error))?;
        self.dial.idle().put(self.key(), sender);
        Ok(body.to_bytes())
    }

    /// The response, over an idle connection if there is one. The other side may have closed it:
    /// a GET is then repeated over a new connection.
    async fn answered(
        &self,
        method: Method,
        path: &str,
    ) -> Result<(Sender, Response<Incoming>), HttpError> {
        if method == Method::GET
            && let Some(mut sender) = self.dial.idle().take(&self.key())
            && sender.ready().await.is_ok()
            && let asked = self.ask(&mut sender, method.clone(), path, Vec::new())
            && let Ok(Ok(response)) = timeout(timeouts().pods.kept_connection, asked).await
        {
            return Ok((sender, response));
        }
        let mut sender = self.connect(path).await?;
        let response = self.ask(&mut sender, method, path, Vec::new()).await?;
        Ok((sender, response))
    }

    async fn connect(&self, what: &str) -> Result<Sender, HttpError> {
        self.handshaken(what).await
    }

    async fn handshaken<B>(&self, what: &str) -> Result<SendRequest<B>, HttpError>
    where
        B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
    {
        let stream = self
            .dial
            .open(&self.namespace, &self.pod, self.port)
            .await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.exchange(what, error))?;
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn ask(
        &self,
        sender: &mut Sender,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Response<Incoming>, HttpError> {
        let request = request(method, path, Full::new(Bytes::from(body)));
        let request = request.map_err(|error| self.exchange(path, error))?;
        let answer = sender.send_request(request).await;
        answer.map_err(|error| self.exchange(path, error))
    }

    async fn succeeded(
        &self,
        path: &str,
        response: Response<Incoming>,
    ) -> Result<Incoming, HttpError> {
        let status = response.status();
        let body = response.into_body();
        if status.is_success() {
            return Ok(body);
        }
        let body = body.collect().await.map(|all| all.to_bytes());
        let body = body.unwrap_or_default();
        Err(HttpError::Status {
            what: path.to_owned(),
            pod: self.pod.clone(),
            status,
            body: String::from_utf8_lossy(&body).chars().take(300).collect(),
        })
    }

    fn key(&self) -> PortKey {
        (self.namespace.clone(), self.pod.clone(), self.port)
    }
}

fn request<B>(method: Method, path: &str, body: B) -> Result<Request<B>, http::Error> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(body)
}
