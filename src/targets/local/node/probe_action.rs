//! Checks of a container: HTTP, gRPC health, TCP, or a command inside it. Used by probes and
//! lifecycle hooks.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, process::Stdio, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use k8s_openapi::{
    api::core::v1::{Container, ExecAction, GRPCAction, HTTPGetAction, TCPSocketAction},
    apimachinery::pkg::util::intstr::IntOrString,
};
use rustls::{ClientConfig, crypto::ring, pki_types::ServerName};
use testbed::accept_any::AcceptAny;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::TcpStream,
    process::Command,
};
use tokio_rustls::TlsConnector;

use super::{health::grpc_health, probe_failure::ProbeFailure};

/// Bytes of a response or output that are kept for a message.
const SHOWN: usize = 1024;
/// User agent of probes, with the kubelet's prefix; servers may recognize probes by it.
pub(super) const USER_AGENT: &str = concat!("kube-probe/meshproof-", env!("CARGO_PKG_VERSION"));

/// One check with every reference resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ProbeAction {
    Http {
        host: String,
        port: u16,
        path: String,
        https: bool,
        headers: Vec<(String, String)>,
    },
    Tcp {
        host: String,
        port: u16,
    },
    Grpc {
        host: String,
        port: u16,
        service: String,
    },
    Exec(Vec<String>),
}

/// How to reach a container.
#[derive(Debug, Clone)]
pub(super) struct ProbeTarget {
    pub pod_ip: String,
    /// This program, for commands inside the container.
    pub self_exe: PathBuf,
    /// The container's description for `__enter`.
    pub enter_file: PathBuf,
}

impl ProbeAction {
    /// The check that a probe or hook describes, if any.
    ///
    /// # Errors
    /// A port name that the container does not declare.
    pub fn new(
        container: &Container,
        pod_ip: &str,
        exec: Option<&ExecAction>,
        http: Option<&HTTPGetAction>,
        tcp: Option<&TCPSocketAction>,
        grpc: Option<&GRPCAction>,
    ) -> Result<Option<Self>, ProbeFailure> {
        let host = |given: &Option<String>| {
            given
                .clone()
                .filter(|host| !host.is_empty())
                .unwrap_or_else(|| pod_ip.to_owned())
        };
        Ok(Some(if let Some(exec) = exec {
            Self::Exec(exec.command.clone().unwrap_or_default())
        } else if let Some(http) = http {
            let path = http.path.clone().unwrap_or_default();
            let headers = http.http_headers.iter().flatten();
            Self::Http {
                host: host(&http.host),
                port: port_number(container, &http.port)?,
                path: if path.starts_with('/') {
                    path
                } else {
                    format!("/{path}")
                },
                https: http
                    .scheme
                    .as_deref()
                    .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https")),
                headers: headers
                    .map(|header| (header.name.clone(), header.value.clone()))
                    .collect(),
            }
        } else if let Some(tcp) = tcp {
            Self::Tcp {
                host: host(&tcp.host),
                port: port_number(container, &tcp.port)?,
            }
        } else if let Some(grpc) = grpc {
            let number = grpc.port;
            let port = u16::try_from(number).map_err(|_| ProbeFailure::NoPort { number })?;
            Self::Grpc {
                host: pod_ip.to_owned(),
                port,
                service: grpc.service.clone().unwrap_or_default(),
            }
        } else {
            return Ok(None);
        }))
    }

    /// Runs the check. The caller limits the time.
    ///
    /// # Errors
    /// [`ProbeFailure`], with what was seen.
    pub async fn ask(&self, target: &ProbeTarget) -> Result<(), ProbeFailure> {
        match self {
            Self::Http {
                host,
                port,
                path,
                https,
                headers,
            } => http_get(host, *port, path, *https, headers).await,
            Self::Tcp { host, port } => connect(host, *port).await.map(|_| ()),
            Self::Grpc {
                host,
                port,
                service,
            } => grpc_health(host, *port, service).await,
            Self::Exec(argv) => run_inside(target, argv).await,
        }
    }
}

/// A port as a number, looked up among the container's ports when it is a name.
fn port_number(container: &Container, port: &IntOrString) -> Result<u16, ProbeFailure> {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => {
            let ports: BTreeMap<&str, i32> = container
                .ports
                .iter()
                .flatten()
                .filter_map(|port| Some((port.name.as_deref()?, port.container_port)))
                .collect();
            match ports.get(name.as_str()) {
                Some(number) => *number,
                None => name.parse().map_err(|_| ProbeFailure::NoPortNamed {
                    container: container.name.clone(),
                    name: name.clone(),
                    ports: ports.keys().map(|&name| name.to_owned()).collect(),
                })?,
            }
        }
    };
    u16::try_from(number).map_err(|_| ProbeFailure::NoPort { number })
}

pub(super) async fn connect(host: &str, port: u16) -> Result<TcpStream, ProbeFailure> {
    let stream = TcpStream::connect((host, port)).await;
    stream.map_err(|source| ProbeFailure::Dial {
        host: host.to_owned(),
        port,
        source,
    })
}

/// Success is a status from 200 to 399 (Kubernetes documentation, "Configure Liveness, Readiness
/// and Startup Probes").
async fn http_get(
    host: &str,
    port: u16,
    path: &str,
    https: bool,
    headers: &[(String, String)],
) -> Result<(), ProbeFailure> {
    let stream = connect(host, port).await?;
    let named = |expected: &str| {
        headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(expected))
    };
    let mut request = http::Request::get(path).header(
        "host",
        named("host").map_or_else(|| format!("{host}:{port}"), |(_, value)| value.clone()),
    );
    if named("user-agent").is_none() {
        request = request.header("user-agent", USER_AGENT);
    }
    if named("accept").is_none() {
        request = request.header("accept", "*/*");
    }
    for (name, value) in headers
        .iter()
        .filter(|(name, _)| !name.eq_ignore_ascii_case("host"))
    {
        request = request.header(name, value);
    }
    let request = request
        .header("connection", "close")
        .body(Empty::<Bytes>::new())?;
    if https {
        let name = ServerName::try_from(host.to_owned())?;
        let connector = TlsConnector::from(Arc::new(trusting_client()?));
        let stream = connector.connect(name, stream).await;
        let stream = stream.map_err(|source| ProbeFailure::Tls {
            host: host.to_owned(),
            port,
            source,
        })?;
        exchange(stream, request).await
    } else {
        exchange(stream, request).await
    }
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    request: http::Request<Empty<Bytes>>,
) -> Result<(), ProbeFailure> {
    let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(ProbeFailure::Http)?;
    let connection = tokio::spawn(connection);
    let result = async {
        let response = sender.send_request(request).await;
        let response = response.map_err(ProbeFailure::Http)?;
        let status = response.status();
        if (200..400).contains(&status.as_u16()) {
            return Ok(());
        }
        let body = response
            .into_body()
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default();
        Err(ProbeFailure::Status {
            status: status.as_u16(),
            body: String::from_utf8_lossy(&body[..body.len().min(SHOWN)]).into_owned(),
        })
    };
    let result = result.await;
    connection.abort();
    result
}

/// Runs a command in the container; success is exit code 0.
async fn run_inside(target: &ProbeTarget, argv: &[String]) -> Result<(), ProbeFailure> {
    let mut child = Command::new(&target.self_exe)
        .arg("__enter")
        .arg(&target.enter_file)
        .args(argv)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| ProbeFailure::Run {
            argv: argv.to_owned(),
            source,
        })?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (out, err) = tokio::join!(drain(out), drain(err));
    let status = child.wait().await.map_err(ProbeFailure::Wait)?;
    if status.success() {
        return Ok(());
    }
    let answer = [out, err].concat();
    Err(ProbeFailure::Exit {
        argv: argv.to_owned(),
        code: status.code().unwrap_or(-1),
        answer: String::from_utf8_lossy(&answer).trim().to_owned(),
    })
}

/// Reads to the end but keeps only the beginning.
async fn drain(pipe: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let (mut kept, mut chunk) = (Vec::new(), [0; 4096]);
    let Some(mut pipe) = pipe else { return kept };
    while let Ok(read @ 1..) = pipe.read(&mut chunk).await {
        let room = SHOWN - kept.len().min(SHOWN);
        kept.extend_from_slice(&chunk[..read.min(room)]);
    }
    kept
}

/// Probes over HTTPS do not verify certificates (Kubernetes documentation, "HTTP probes").
fn trusting_client() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    Ok(config
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AcceptAny(provider)))
        .with_no_client_auth())
}

/// The address of a pod's port, for a connection made inside its network.
pub(super) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};
    use tokio::{io::AsyncWriteExt, net::TcpListener};

    fn container() -> Container {
        serde_json::from_value(
            json!({"name": "c", "ports": [{"name": "web", "containerPort": 8080}]}),
        )
        .unwrap()
    }

    #[rstest]
    #[case::number(json!(80), Ok(80))]
    #[case::name(json!("web"), Ok(8080))]
    #[case::number_as_text(json!("81"), Ok(81))]
    #[case::unknown(json!("nope"), Err("no port named \"nope\""))]
    #[case::too_large(json!(70000), Err("70000"))]
    fn ports_are_numbers_or_names(#[case] port: Value, #[case] expected: Result<u16, &str>) {
        let port: IntOrString = serde_json::from_value(port).unwrap();
        match (port_number(&container(), &port), expected) {
            (Ok(got), Ok(required)) => assert_eq!(got, required),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            other => panic!("{other:?}"),
        }
    }

    async fn answering(answer: &'static str) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut seen = [0; 1024];
                let _ = stream.read(&mut seen).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        port
    }

    #[rstest]
    #[case::ok("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", true)]
    #[case::redirect(
        "HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n",
        true
    )]
    #[case::unavailable("HTTP/1.1 503 Unavailable\r\ncontent-length: 2\r\n\r\nno", false)]
    #[tokio::test]
    async fn the_status_decides(#[case] answer: &'static str, #[case] good: bool) {
        let port = answering(answer).await;
        let result = http_get("127.0.0.1", port, "/", false, &[]).await;
        assert_eq!(result.is_ok(), good, "{result:?}");
    }
}
