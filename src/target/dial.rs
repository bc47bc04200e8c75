//! A byte stream to a port of a pod, as `kubectl port-forward` makes it: it arrives on the pod's own loopback, past any
//! redirection of the mesh.

use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::UnixStream,
};

/// A stream to a pod.
pub trait PodStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> PodStream for T {}

/// How pods are reached.
#[derive(Debug, Clone)]
pub enum Dial {
    /// The local node's socket.
    Node(PathBuf),
}

/// Why a port of a pod cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    #[error("cannot reach port {port} of pod {namespace}/{pod}: {words}")]
    Refused {
        namespace: String,
        pod: String,
        port: u16,
        words: String,
    },
}

impl Dial {
    /// Opens a stream to `port` on the loopback of a pod.
    ///
    /// # Errors
    /// [`DialError`] with the words of the node or of the connection.
    pub async fn open(
        &self,
        namespace: &str,
        pod: &str,
        port: u16,
    ) -> Result<Box<dyn PodStream>, DialError> {
        let Self::Node(socket) = self;
        through_node(socket, namespace, pod, port)
            .await
            .map_err(|words| DialError::Refused {
                namespace: namespace.to_owned(),
                pod: pod.to_owned(),
                port,
                words,
            })
    }
}

async fn through_node(
    socket: &PathBuf,
    namespace: &str,
    pod: &str,
    port: u16,
) -> Result<Box<dyn PodStream>, String> {
    let mut stream = UnixStream::connect(socket)
        .await
        .map_err(|error| format!("the node does not answer: {error}"))?;
    let request = json!({"op": "portforward", "namespace": namespace, "pod": pod, "port": port});
    stream
        .write_all(format!("{request}\n").as_bytes())
        .await
        .map_err(|error| error.to_string())?;
    let answer = line(&mut stream).await.map_err(|error| error.to_string())?;
    let answer: Value = serde_json::from_slice(&answer)
        .map_err(|error| format!("the node's answer is no JSON: {error}"))?;
    match answer.get("error").and_then(Value::as_str) {
        Some(words) => Err(words.to_owned()),
        None => Ok(Box::new(stream)),
    }
}

/// Reads one line and not a byte more: what follows belongs to the pod.
async fn line(stream: &mut UnixStream) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    loop {
        match stream.read_u8().await? {
            b'\n' => return Ok(line),
            byte => line.push(byte),
        }
    }
}
