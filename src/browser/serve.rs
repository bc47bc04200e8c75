//! Two listeners on this machine's loopback: one serves the page under any host that the browser
//! resolves to it, the other forwards to a port of a pod.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinHandle};

use super::page::TestPage;
use crate::{
    errors::chain,
    transport::{http::PodPort, pass::pass},
};

/// A listener that stops when this value is dropped.
#[derive(Debug)]
pub struct Listening {
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves the page, its script and the servers' descriptors.
///
/// # Errors
/// No port is free on the loopback.
pub async fn page(page: TestPage) -> io::Result<Listening> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let page = Arc::new(page);
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let page = page.clone();
            let serve = service_fn(move |request| {
                let answer = answer(&page, &request);
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), serve);
            tokio::spawn(connection);
        }
    });
    Ok(Listening { address, task })
}

fn answer(page: &TestPage, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let (media, body) = match request.uri().path() {
        "/" => ("text/html", Bytes::from_static(page.html.as_bytes())),
        "/page.js" => ("text/javascript", page.script.clone().into()),
        "/descriptors.bin" => (
            "application/octet-stream",
            testbed::proto::pool().encode_to_vec().into(),
        ),
        _ => {
            let mut none = Response::new(Full::default());
            *none.status_mut() = StatusCode::NOT_FOUND;
            return none;
        }
    };
    let mut answer = Response::new(Full::new(body));
    let media = HeaderValue::from_static(media);
    answer.headers_mut().insert(header::CONTENT_TYPE, media);
    answer
}

/// Forwards each connection to a port of a pod.
///
/// # Errors
/// No port is free on the loopback.
pub async fn forward(to: PodPort) -> io::Result<Listening> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let to = to.clone();
            tokio::spawn(async move {
                match to.dial.open(&to.namespace, &to.pod, to.port).await {
                    Ok(pod) => pass(stream, pod).await,
                    Err(error) => {
                        let error = chain(&error);
                        tracing::warn!(error, "cannot forward a browser's connection");
                    }
                }
            });
        }
    });
    Ok(Listening { address, task })
}
