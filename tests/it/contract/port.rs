//! A client of a control port, as in the harness. Every message in either direction is validated
//! against the schema.

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use futures::stream;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use testbed::control::{Alive, Attempt, CallPlan, Info, Observation, Reached, RunLine};
use tokio::{net::TcpStream, sync::mpsc, task::JoinHandle};

use super::message::{read, written};

/// The control port of a program.
#[derive(Debug, Clone, Copy)]
pub struct Port(pub SocketAddr);

type Body = BoxBody<Bytes, Infallible>;

fn whole(text: String) -> Body {
    Full::from(text).boxed()
}

fn request(method: &Method, path: &str) -> http::request::Builder {
    let request = Request::builder().method(method.clone()).uri(path);
    request.header("host", "localhost")
}

impl Port {
    /// Sends a request over a new connection; aborting the task closes it.
    async fn send(self, request: Request<Body>) -> (Response<Incoming>, JoinHandle<()>) {
        let stream = TcpStream::connect(self.0).await.expect("it listens");
        let made = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = made.expect("HTTP/1.1");
        let task = tokio::spawn(async move { drop(connection.await) });
        let answer = sender.send_request(request).await;
        (answer.expect("an answer"), task)
    }

    /// Status and text of a response.
    pub async fn answer(self, request: Request<Body>) -> (StatusCode, String) {
        let (answer, _connection) = self.send(request).await;
        let status = answer.status();
        let body = answer.into_body().collect().await.expect("a whole answer");
        let text = String::from_utf8(body.to_bytes().into()).expect("text");
        (status, text)
    }

    /// Like [`Self::answer`], with headers of a stranger.
    pub async fn answer_to(
        self,
        method: &Method,
        path: &str,
        header: (&str, &str),
    ) -> (StatusCode, String) {
        let request = Request::builder().method(method.clone()).uri(path);
        let request = match header.0 {
            "host" => request,
            _ => request.header("host", "localhost"),
        };
        let request = request
            .header(header.0, header.1)
            .body(whole(String::new()));
        self.answer(request.expect("a request")).await
    }

    /// Sends a request without a body.
    pub async fn ask(self, method: &Method, path: &str) -> (StatusCode, String) {
        let request = request(method, path).body(whole(String::new()));
        self.answer(request.expect("a request")).await
    }

    async fn document<T: serde::de::DeserializeOwned>(self, message: &str, path: &str) -> T {
        let (status, text) = self.ask(&Method::GET, path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        read(message, &text)
    }

    pub async fn info(self) -> Info {
        self.document("Info", "/v1/info").await
    }

    pub async fn alive(self) -> Alive {
        self.document("Alive", "/v1/alive").await
    }

    pub async fn reach(self, address: &str, times: u64) -> Reached {
        let path = format!("/v1/reach?address={address}&times={times}");
        self.document("Reached", &path).await
    }

    /// Attempts of the calls whose id begins with `prefix`.
    pub async fn ledger(self, prefix: &str) -> Vec<Attempt> {
        let path = format!("/v1/ledger?prefix={prefix}");
        let (status, text) = self.ask(&Method::GET, &path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        text.lines().map(|line| read("Attempt", line)).collect()
    }

    /// A caller's response to this text in place of a plan.
    pub async fn run_text(self, text: &str) -> Vec<RunLine> {
        let request = request(&Method::POST, "/v1/run").body(whole(text.to_owned()));
        let (status, text) = self.answer(request.expect("a request")).await;
        assert_eq!(status, StatusCode::OK, "{text}");
        text.lines().map(|line| read("RunLine", line)).collect()
    }

    /// All lines of a run.
    pub async fn run(self, plan: &CallPlan) -> Vec<RunLine> {
        self.run_text(&written("CallPlan", plan)).await
    }

    /// The calls of a run, which must complete, ordered by number.
    pub async fn calls(self, plan: &CallPlan) -> Vec<Observation> {
        let mut lines = self.run(plan).await;
        let last = lines.pop();
        let call = |line| match line {
            RunLine::Call(call) => *call,
            other => panic!("{other:?} among the calls"),
        };
        let mut calls: Vec<Observation> = lines.into_iter().map(call).collect();
        calls.sort_by_key(|call| call.index);
        assert!(
            matches!(last, Some(RunLine::Done { calls: done, .. }) if done == calls.len() as u64),
            "{last:?} after the calls {:?}",
            calls.iter().map(|call| call.index).collect::<Vec<_>>()
        );
        calls
    }

    /// The only call of a run.
    pub async fn call(self, plan: &CallPlan) -> Observation {
        let mut calls = self.calls(plan).await;
        assert_eq!(calls.len(), 1);
        calls.remove(0)
    }

    /// Starts a run with a lease.
    pub async fn lease(self, plan: &CallPlan, lease_ms: u64) -> Leased {
        let (signs, received) = mpsc::channel::<Bytes>(16);
        let plan = Bytes::from(written("CallPlan", plan) + "\n");
        signs.send(plan).await.expect("there is room");
        let pieces = stream::unfold(received, |mut received| async move {
            let piece = received.recv().await?;
            Some((Ok::<_, Infallible>(Frame::data(piece)), received))
        });
        let path = format!("/v1/run?lease_ms={lease_ms}");
        let request = request(&Method::POST, &path).body(StreamBody::new(pieces).boxed());
        let (answer, connection) = self.send(request.expect("a request")).await;
        assert_eq!(answer.status(), StatusCode::OK);
        Leased {
            answer: answer.into_body(),
            buffer: Vec::new(),
            signs,
            connection,
        }
    }
}

/// A run that goes on as long as its controller renews the lease; dropping it ends it.
pub struct Leased {
    answer: Incoming,
    buffer: Vec<u8>,
    signs: mpsc::Sender<Bytes>,
    connection: JoinHandle<()>,
}

impl Drop for Leased {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Leased {
    /// Renews the lease.
    pub async fn sign(&self) {
        let sent = self.signs.send(Bytes::from_static(b"\n")).await;
        sent.expect("the caller reads");
    }

    /// The next line; `None` at the end of the response.
    pub async fn line(&mut self) -> Option<RunLine> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(read("RunLine", &String::from_utf8(line).expect("text")));
            }
            let frame = self.answer.frame().await?.expect("the answer goes on");
            self.buffer
                .extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        }
    }

    /// The last line.
    pub async fn last(&mut self) -> Option<RunLine> {
        let mut last = None;
        while let Some(line) = self.line().await {
            last = Some(line);
        }
        last
    }
}
