//! Limits on API server responses: time until the response starts, and its duration and size. A
//! server that hangs, trickles or never ends is an error.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, StatusCode, header::AUTHORIZATION};
use hyper::body::{Body, Frame, SizeHint};
use kube::client::Body as KubeBody;
use tokio::time::{Sleep, sleep, timeout};
use tower::{BoxError, Layer, Service};

/// Limits on a response.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Time until the response head.
    head: Duration,
    /// Duration of a response body that is not a stream.
    body: Duration,
    /// Largest body, in bytes.
    largest: u64,
    /// Longest line of a stream (a watch, a log that is followed), in bytes: one object.
    line: u64,
}

/// The API server itself limits a request to 60 s, webhooks included. A list of ten thousand pods
/// is a tenth of the largest response.
const LIMITS: Limits = Limits {
    head: Duration::from_secs(70),
    body: Duration::from_secs(60),
    largest: 256 << 20,
    line: 16 << 20,
};

/// A bearer token that may be replaced while the client is in use.
pub type Token = Arc<Mutex<HeaderValue>>;

/// Applies limits to a client's service, and adds a token to its requests.
#[derive(Clone)]
pub struct Bounds {
    token: Option<Token>,
    limits: Limits,
}

impl Bounds {
    /// The documented limits.
    pub fn new(token: Option<Token>) -> Self {
        Self {
            token,
            limits: LIMITS,
        }
    }
}

impl<S> Layer<S> for Bounds {
    type Service = Bounded<S>;

    fn layer(&self, inner: S) -> Bounded<S> {
        Bounded {
            inner,
            bounds: self.clone(),
        }
    }
}

/// The service that [`Bounds`] wraps.
pub struct Bounded<S> {
    inner: S,
    bounds: Bounds,
}

impl<S, B> Service<Request<KubeBody>> for Bounded<S>
where
    S: Service<Request<KubeBody>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<BoundedBody<B>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<KubeBody>) -> Self::Future {
        if let Some(token) = &self.bounds.token {
            let token = token.lock().unwrap_or_else(PoisonError::into_inner).clone();
            request.headers_mut().insert(AUTHORIZATION, token);
        }
        let streams = is_stream(request.uri().query().unwrap_or_default());
        let (answer, limits) = (self.inner.call(request), self.bounds.limits);
        Box::pin(async move {
            let answer = timeout(limits.head, answer).await;
            let late = || format!("the API server did not answer within {:?}", limits.head);
            let answer = answer.map_err(|_| late())?;
            let answer = answer.map_err(Into::into)?;
            // An upgraded connection has no body of its own.
            let streams = streams || answer.status() == StatusCode::SWITCHING_PROTOCOLS;
            Ok(answer.map(|body| BoundedBody::new(body, limits, streams)))
        })
    }
}

/// Whether the response continues until the client stops reading.
fn is_stream(query: &str) -> bool {
    let yes = ["watch=true", "watch=1", "follow=true"];
    query.split('&').any(|pair| yes.contains(&pair))
}

/// A body that fails when it takes too long or grows too large.
pub struct BoundedBody<B> {
    inner: B,
    limits: Limits,
    seen: u64,
    /// Absent for streams.
    over: Option<Pin<Box<Sleep>>>,
}

impl<B> BoundedBody<B> {
    fn new(inner: B, limits: Limits, streams: bool) -> Self {
        Self {
            inner,
            limits,
            seen: 0,
            over: (!streams).then(|| Box::pin(sleep(limits.body))),
        }
    }

    /// Counts received bytes; of a stream, since its last line end.
    fn take(&mut self, data: &[u8]) -> Result<(), BoxError> {
        let (most, what) = match self.over {
            Some(_) => (self.limits.largest, "a response"),
            None => (self.limits.line, "a line"),
        };
        let rest = match self.over {
            None => data.iter().rev().position(|byte| *byte == b'\n'),
            Some(_) => None,
        };
        self.seen = match rest {
            Some(rest) => rest as u64,
            None => self.seen + data.len() as u64,
        };
        match self.seen > most {
            true => Err(format!("the API server sent {what} of more than {most} bytes").into()),
            false => Ok(()),
        }
    }
}

impl<B> Body for BoundedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(over) = &mut self.over
            && over.as_mut().poll(cx).is_ready()
        {
            let limit = self.limits.body;
            let message = format!("the API server's response did not end within {limit:?}");
            return Poll::Ready(Some(Err(message.into())));
        }
        let frame = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            None => return Poll::Ready(None),
        };
        if let Some(data) = frame.data_ref()
            && let Err(error) = self.take(data)
        {
            return Poll::Ready(Some(Err(error)));
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream;
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    fn endless(
        piece: &'static [u8],
        pause: Duration,
    ) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        let frames = stream::unfold((), move |()| async move {
            tokio::time::sleep(pause).await;
            Some((Ok(Frame::data(Bytes::from_static(piece))), ()))
        });
        StreamBody::new(Box::pin(frames))
    }

    const SMALL: Limits = Limits {
        head: Duration::from_millis(50),
        body: Duration::from_millis(200),
        largest: 1000,
        line: 100,
    };
    const NOW: Duration = Duration::ZERO;

    #[tokio::test]
    async fn an_answer_that_never_ends_is_an_error() {
        let patient = Limits {
            body: Duration::from_secs(60),
            ..SMALL
        };
        let error = drain(BoundedBody::new(endless(b"xxxxxxxx", NOW), patient, false)).await;
        assert!(
            error.contains("a response of more than 1000 bytes"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn an_answer_that_trickles_is_an_error() {
        let slow = endless(b"x", Duration::from_millis(20));
        let error = drain(BoundedBody::new(slow, SMALL, false)).await;
        assert!(error.contains("did not end within 200ms"), "{error}");
    }

    #[tokio::test]
    async fn a_stream_may_go_on_but_its_lines_end() {
        let mut body = BoundedBody::new(endless(b"xxxxx\nxxxxx", NOW), SMALL, true);
        for _ in 0..1000 {
            body.frame().await.unwrap().unwrap();
        }
        let error = drain(BoundedBody::new(endless(b"xxxxx", NOW), SMALL, true)).await;
        assert!(error.contains("a line of more than 100 bytes"), "{error}");
    }

    async fn drain<B>(mut body: BoundedBody<B>) -> String
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        loop {
            match body.frame().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return error.to_string(),
                None => return "it ended".to_owned(),
            }
        }
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_an_error() {
        struct Silent;
        impl Service<Request<KubeBody>> for Silent {
            type Response = Response<KubeBody>;
            type Error = BoxError;
            type Future = BoxFuture<'static, Result<Response<KubeBody>, BoxError>>;
            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
                Poll::Ready(Ok(()))
            }
            fn call(&mut self, _: Request<KubeBody>) -> Self::Future {
                Box::pin(std::future::pending())
            }
        }
        let bounds = Bounds {
            limits: SMALL,
            ..Bounds::new(None)
        };
        let mut service = bounds.layer(Silent);
        let request = Request::get("/version").body(KubeBody::empty()).unwrap();
        let error = service.call(request).await.err().unwrap().to_string();
        assert!(error.contains("did not answer within 50ms"), "{error}");
    }

    #[test]
    fn watches_and_followed_logs_are_streams() {
        assert!(is_stream("limit=5&watch=true") && is_stream("follow=true"));
        assert!(!is_stream("labelSelector=watch%3Dtrue") && !is_stream(""));
    }
}
