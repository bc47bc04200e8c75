//! A byte stream to a port of a pod, as `kubectl port-forward` makes it: it arrives on the pod's
//! own loopback, past any redirection of the mesh.

use std::{fmt, io, path::PathBuf};

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::UnixStream,
};

use super::{forwarded::Forwarded, idle::Idle};
use crate::errors::{Classified, ErrorClass};

/// A stream to a pod.
pub trait PodStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> PodStream for T {}

/// How pods are reached.
#[derive(Clone)]
pub enum PodDialer {
    /// The local node's socket.
    Node(PathBuf, Idle),
    /// The API server of any cluster, which asks the pod's kubelet: the harness may run anywhere.
    ApiServer(Client, Idle),
}

impl fmt::Debug for PodDialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(socket, _) => f.debug_tuple("Node").field(socket).finish(),
            Self::ApiServer(..) => f.write_str("ApiServer"),
        }
    }
}

/// Why a port of a pod cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    #[error("cannot reach port {port} of pod {namespace}/{pod}")]
    Refused {
        namespace: String,
        pod: String,
        port: u16,
        source: Unreachable,
    },
}

/// What was in the way.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    #[error("the API server")]
    ApiServer(#[source] Box<kube::Error>),
    #[error("the API server forwards no such port")]
    NotForwarded,
    #[error("the node does not answer")]
    Node(#[source] io::Error),
    /// The node was asked, and its answer did not come.
    #[error(transparent)]
    Broke(io::Error),
    #[error("the node's answer is no JSON")]
    Answer(#[source] serde_json::Error),
    /// In the words of the node.
    #[error("{0}")]
    Refused(String),
}

/// The way to pods is ours, whoever is asked to open it.
impl Classified for DialError {
    fn class(&self) -> ErrorClass {
        let Self::Refused { source, .. } = self;
        match source {
            Unreachable::ApiServer(error) => error.class(),
            _ => ErrorClass::Harness,
        }
    }
}

impl PodDialer {
    /// Through the socket of a local node.
    pub fn node(socket: PathBuf) -> Self {
        Self::Node(socket, Idle::default())
    }

    /// Through the API server that this client speaks to.
    pub fn api_server(client: Client) -> Self {
        Self::ApiServer(client, Idle::default())
    }

    /// Connections that can be used again. A new one is work for both sides of it and for everybody
    /// in between, and each program that takes part is asked twice a second.
    pub fn idle(&self) -> &Idle {
        match self {
            Self::Node(_, idle) | Self::ApiServer(_, idle) => idle,
        }
    }

    /// Opens a stream to `port` on the loopback of a pod.
    ///
    /// # Errors
    /// [`DialError`] with the words of the node, of the API server or of the connection. A kubelet
    /// says only when the stream is used that nothing listens: then reading fails with its words.
    pub async fn open(
        &self,
        namespace: &str,
        pod: &str,
        port: u16,
    ) -> Result<Box<dyn PodStream>, DialError> {
        let opened = match self {
            Self::Node(socket, _) => through_node(socket, namespace, pod, port).await,
            Self::ApiServer(client, _) => through_api_server(client, namespace, pod, port).await,
        };
        opened.map_err(|source| DialError::Refused {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            port,
            source,
        })
    }
}

async fn through_api_server(
    client: &Client,
    namespace: &str,
    pod: &str,
    port: u16,
) -> Result<Box<dyn PodStream>, Unreachable> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let forward = pods.portforward(pod, &[port]).await;
    let forward = forward.map_err(|error| Unreachable::ApiServer(Box::new(error)))?;
    let stream = Forwarded::new(forward, port).ok_or(Unreachable::NotForwarded)?;
    Ok(Box::new(stream))
}

async fn through_node(
    socket: &PathBuf,
    namespace: &str,
    pod: &str,
    port: u16,
) -> Result<Box<dyn PodStream>, Unreachable> {
    let mut stream = UnixStream::connect(socket)
        .await
        .map_err(Unreachable::Node)?;
    let request = json!({"op": "portforward", "namespace": namespace, "pod": pod, "port": port});
    stream
        .write_all(format!("{request}\n").as_bytes())
        .await
        .map_err(Unreachable::Broke)?;
    let answer = line(&mut stream).await.map_err(Unreachable::Broke)?;
    let answer: Value = serde_json::from_slice(&answer).map_err(Unreachable::Answer)?;
    match answer.get("error").and_then(Value::as_str) {
        Some(words) => Err(Unreachable::Refused(words.to_owned())),
        None => Ok(Box::new(stream)),
    }
}

/// Reads one line and not a byte more: what follows belongs to the pod.
async fn line(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    loop {
        match stream.read_u8().await? {
            b'\n' => return Ok(line),
            byte => line.push(byte),
        }
    }
}
