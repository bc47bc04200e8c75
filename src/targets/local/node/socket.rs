//! The node's Unix socket: newline-delimited JSON, one request per connection.
//!
//! `exec` replies with a command prefix that enters the container, `logs` with the log file's
//! path, and `portforward` turns the connection into one to a port of the pod's loopback, as
//! `kubectl port-forward` expects.

use std::{fs, io, path::Path, sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpStream, UnixListener, UnixStream},
};

use super::{config::Shared, pod_table::Absent, probe_action::loopback};
use crate::{errors::chain, transport::pass::pass};

/// Timeout of a connection to a port of a pod.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Longest request, in bytes.
const LONGEST: u64 = 64 * 1024;

#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Request {
    Exec {
        namespace: String,
        pod: String,
        #[serde(default)]
        container: Option<String>,
    },
    PortForward {
        namespace: String,
        pod: String,
        port: u16,
    },
    Logs {
        namespace: String,
        pod: String,
        #[serde(default)]
        container: Option<String>,
        #[serde(default)]
        previous: bool,
    },
}

/// Creates the socket, replacing an old one.
pub(super) fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)
}

/// Answers requests, for ever.
pub(super) async fn serve(listener: UnixListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let shared = shared.clone();
                tokio::spawn(async move {
                    if let Err(error) = answer(stream, &shared).await {
                        tracing::debug!(%error, "a connection to the node's socket broke");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept on the node's socket");
                tokio::time::sleep(Duration::from_millis(100)).await; // most likely out of descriptors
            }
        }
    }
}

/// An error answering a request.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error(transparent)]
    Absent(#[from] Absent),
    #[error("container {container:?} of pod {pod} is not running")]
    NotRunning { container: String, pod: String },
    /// `which` is the log that does not exist.
    #[error("container {container:?} of pod {pod} has no {which}")]
    NoLog {
        container: String,
        pod: String,
        which: &'static str,
    },
    #[error("cannot connect to port {port} inside pod {pod}")]
    Port {
        port: u16,
        pod: String,
        source: io::Error,
    },
}

async fn answer(stream: UnixStream, shared: &Shared) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    (&mut stream).take(LONGEST).read_line(&mut line).await?;
    let (reply, forward) = match serde_json::from_str(&line) {
        Ok(request) => handle(request, shared)
            .await
            .unwrap_or_else(|error| (json!({"error": chain(&error)}), None)),
        Err(error) => (json!({"error": format!("bad request: {error}")}), None),
    };
    stream
        .get_mut()
        .write_all(format!("{reply}\n").as_bytes())
        .await?;
    if let Some(port) = forward {
        pass(stream, port).await;
    }
    Ok(())
}

/// Returns the reply to a request and, for `portforward`, the connection to pass.
async fn handle(request: Request, shared: &Shared) -> Result<(Value, Option<TcpStream>), AskError> {
    match request {
        Request::Exec {
            namespace,
            pod,
            container,
        } => Ok((exec(shared, &namespace, &pod, container)?, None)),
        Request::Logs {
            namespace,
            pod,
            container,
            previous,
        } => Ok((logs(shared, &namespace, &pod, container, previous)?, None)),
        Request::PortForward {
            namespace,
            pod,
            port,
        } => {
            let stream = connect(shared, &namespace, &pod, port).await?;
            Ok((json!({"ok": true}), Some(stream)))
        }
    }
}

/// Returns the command prefix that enters the container.
fn exec(
    shared: &Shared,
    namespace: &str,
    pod: &str,
    container: Option<String>,
) -> Result<Value, AskError> {
    let entry = shared
        .running
        .container(namespace, pod, container.as_deref())?;
    let file = entry.enter_file.ok_or_else(|| AskError::NotRunning {
        container: container.unwrap_or_default(),
        pod: format!("{namespace}/{pod}"),
    })?;
    let argv = [
        shared.cfg.self_exe.as_os_str(),
        "__enter".as_ref(),
        file.as_os_str(),
    ];
    let argv: Vec<String> = argv
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    Ok(json!({"argv": argv}))
}

/// Returns the path of the container's log, and whether the container still writes to it.
fn logs(
    shared: &Shared,
    namespace: &str,
    pod: &str,
    container: Option<String>,
    previous: bool,
) -> Result<Value, AskError> {
    let entry = shared
        .running
        .container(namespace, pod, container.as_deref())?;
    let log = if previous {
        entry.previous_log
    } else {
        entry.log
    };
    let log = log.ok_or_else(|| AskError::NoLog {
        container: container.unwrap_or_default(),
        pod: format!("{namespace}/{pod}"),
        which: if previous { "previous run" } else { "log yet" },
    })?;
    Ok(json!({"path": log.to_string_lossy(), "running": entry.enter_file.is_some() && !previous}))
}

/// Connects to a port of the pod's loopback.
async fn connect(
    shared: &Shared,
    namespace: &str,
    pod: &str,
    port: u16,
) -> Result<TcpStream, AskError> {
    let namespaces = shared.running.namespaces(namespace, pod)?;
    let stream = namespaces.connect(loopback(port), CONNECT_LIMIT).await;
    stream.map_err(|source| AskError::Port {
        port,
        pod: format!("{namespace}/{pod}"),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::exec(
        r#"{"op":"exec","namespace":"n","pod":"p","container":"c","tty":true}"#,
        true
    )]
    #[case::logs(r#"{"op":"logs","namespace":"n","pod":"p"}"#, true)]
    #[case::portforward(r#"{"op":"portforward","namespace":"n","pod":"p","port":80}"#, true)]
    #[case::port_too_large(
        r#"{"op":"portforward","namespace":"n","pod":"p","port":70000}"#,
        false
    )]
    #[case::unknown(r#"{"op":"fly"}"#, false)]
    fn requests_are_understood(#[case] line: &str, #[case] good: bool) {
        assert_eq!(serde_json::from_str::<Request>(line).is_ok(), good);
    }
}
