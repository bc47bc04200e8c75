//! Failures of probes and hooks.

use std::io;

use rustls::pki_types::InvalidDnsNameError;

/// Why a probe or hook failed, phrased like the kubelet's messages.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeFailure {
    #[error("invalid port number: {number}")]
    NoPort { number: i32 },
    #[error("container {container} has no port named {name:?} (it has {ports:?})")]
    NoPortNamed {
        container: String,
        name: String,
        ports: Vec<String>,
    },
    #[error("dial tcp {host}:{port}")]
    Dial {
        host: String,
        port: u16,
        source: io::Error,
    },
    #[error("TLS with {host}:{port}")]
    Tls {
        host: String,
        port: u16,
        source: io::Error,
    },
    #[error(transparent)]
    ServerName(#[from] InvalidDnsNameError),
    #[error(transparent)]
    TlsConfig(#[from] rustls::Error),
    #[error(transparent)]
    Request(#[from] http::Error),
    /// As the kubelet reports it: without the underlying errors.
    #[error("{0}")]
    Http(hyper::Error),
    #[error("HTTP probe failed with statuscode: {status}: {body}")]
    Status { status: u16, body: String },
    #[error("cannot run {argv:?} in the container")]
    Run {
        argv: Vec<String>,
        source: io::Error,
    },
    #[error(transparent)]
    Wait(io::Error),
    #[error("command {argv:?} exited with {code}: {answer}")]
    Exit {
        argv: Vec<String>,
        code: i32,
        answer: String,
    },
    #[error("gRPC health check of {host}:{port}")]
    Health {
        host: String,
        port: u16,
        source: h2::Error,
    },
    #[error("gRPC health check of {host}:{port}: grpc-status {code}")]
    GrpcStatus {
        host: String,
        port: u16,
        code: String,
    },
    #[error("gRPC health check of {host}:{port}: no grpc-status")]
    NoGrpcStatus { host: String, port: u16 },
    /// With the response message.
    #[error("service unhealthy (responded with {0:?} instead of SERVING)")]
    NotServing(Option<Vec<u8>>),
    #[error("no answer within {seconds} s")]
    Late { seconds: u64 },
    #[error("the hook did not finish within {seconds} s")]
    HookLate { seconds: u64 },
}
