//! A byte stream to a port of a pod, as in `kubectl port-forward`: it arrives on the pod's own
//! loopback, bypassing any redirection of the mesh.

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

/// How to reach pods.
#[derive(Clone)]
pub enum PodDialer {
    /// Through the local node's socket.
    Node(PathBuf, Idle),
    /// Through the API server of any cluster and the pod's kubelet. The harness may run anywhere.
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

/// An error connecting to a port of a pod.
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

/// Why a port could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    #[error("the API server could not open the connection")]
    ApiServer(#[source] Box<kube::Error>),
    #[error("the API server does not forward this port")]
    NotForwarded,
    #[error("the node does not answer")]
    Node(#[source] io::Error),
    /// The node received the request, but its response did not arrive.
    #[error(transparent)]
    Broke(io::Error),
    #[error("the node's response is not JSON")]
    Answer(#[source] serde_json::Error),
    /// The node's message.
    #[error("{0}")]
    Refused(String),
}

/// Connections to pods belong to the harness, except for errors of the API server.
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
    /// Connects through the socket of a local node.
    pub fn node(socket: PathBuf) -> Self {
        Self::Node(socket, Idle::default())
    }

    /// Connects through the API server that this client uses.
    pub fn api_server(client: Client) -> Self {
        Self::ApiServer(client, Idle::default())
    }

    /// Idle connections for reuse. A new connection costs work on both sides and in between, and
    /// each program that takes part is queried twice a second.
    pub fn idle(&self) -> &Idle {
        match self {
            Self::Node(_, idle) | Self::ApiServer(_, idle) => idle,
        }
    }

    /// Opens a stream to `port` on the loopback of a pod.
    ///
    /// # Errors
    /// [`DialError`] with the message of the node, of the API server or of the connection. A
    /// kubelet reports that nothing listens only when the stream is used: reading then fails with
    /// its message.
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
        Some(message) => Err(Unreachable::Refused(message.to_owned())),
        None => Ok(Box::new(stream)),
    }
}

/// Reads exactly one line: the bytes after it belong to the pod.
async fn line(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    loop {
        match stream.read_u8().await? {
            b'\n' => return Ok(line),
            byte => line.push(byte),
        }
    }
}
