//! A debug port of istiod that has processed everything in the API server.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

use crate::cluster::fake::Fake;

/// Answers the requests of one connection.
pub async fn serve(stream: UnixStream, fake: Fake) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answer(request.uri().path(), &fake);
        async move { Ok::<_, Infallible>(answer) }
    });
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // An error means that the client has disconnected.
    drop(served.await);
}

fn answer(path: &str, fake: &Fake) -> Response<Full<Bytes>> {
    let known = match path {
        "/debug/configz" => Some(configuration(fake)),
        _ => None,
    };
    let status = match known {
        Some(_) => StatusCode::OK,
        None => StatusCode::NOT_FOUND,
    };
    let body = known.map_or_else(|| format!("no {path} here"), |known| known.to_string());
    let mut answer = Response::new(Full::from(body));
    *answer.status_mut() = status;
    answer
}

fn configuration(fake: &Fake) -> Value {
    let is_istios = |object: &&Value| {
        let version = object["apiVersion"].as_str();
        version.is_some_and(|version| version.contains(".istio.io/"))
    };
    fake.with(|inner| inner.objects.values().filter(is_istios).cloned().collect())
}
