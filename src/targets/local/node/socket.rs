//! The node's Unix socket: newline-delimited JSON, one request per connection.
//!
//! `exec` answers with a command prefix that enters the container, `logs` with the log file's path, and `portforward` turns
//! the connection into one to a port of the pod's loopback, as `kubectl port-forward` expects it.

use std::{fs, io, path::Path, sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpStream, UnixListener, UnixStream},
};

use super::{check::loopback, config::Shared};
use crate::transport::pass::pass;

/// How long a connection to a port of a pod may take.
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

/// Makes the socket; an old one in its place gives way.
pub(super) fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)
}

/// Answers for ever.
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
                tokio::time::sleep(Duration::from_millis(100)).await; // out of descriptors, most likely
            }
        }
    }
}

async fn answer(stream: UnixStream, shared: &Shared) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    (&mut stream).take(LONGEST).read_line(&mut line).await?;
    let (reply, forward) = match serde_json::from_str(&line) {
        Ok(request) => handle(request, shared)
            .await
            .unwrap_or_else(|message| (json!({"error": message}), None)),
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

async fn handle(request: Request, shared: &Shared) -> Result<(Value, Option<TcpStream>), String> {
    match request {
        Request::Exec {
            namespace,
            pod,
            container,
        } => {
            let entry = shared
                .running
                .container(&namespace, &pod, container.as_deref())?;
            let file = entry.enter_file.ok_or_else(|| {
                format!(
                    "container {:?} of pod {namespace}/{pod} is not running",
                    container.unwrap_or_default()
                )
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
            Ok((json!({"argv": argv}), None))
        }
        Request::Logs {
            namespace,
            pod,
            container,
            previous,
        } => {
            let entry = shared
                .running
                .container(&namespace, &pod, container.as_deref())?;
            let log = if previous {
                entry.previous_log
            } else {
                entry.log
            };
            let log = log.ok_or_else(|| {
                let which = if previous { "previous run" } else { "log yet" };
                format!(
                    "container {:?} of pod {namespace}/{pod} has no {which}",
                    container.unwrap_or_default()
                )
            })?;
            Ok((
                json!({"path": log.to_string_lossy(), "running": entry.enter_file.is_some() && !previous}),
                None,
            ))
        }
        Request::PortForward {
            namespace,
            pod,
            port,
        } => {
            let namespaces = shared.running.namespaces(&namespace, &pod)?;
            let stream = namespaces.connect(loopback(port), CONNECT_LIMIT).await;
            let stream = stream.map_err(|error| {
                format!("cannot connect to port {port} inside pod {namespace}/{pod}: {error}")
            })?;
            Ok((json!({"ok": true}), Some(stream)))
        }
    }
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
