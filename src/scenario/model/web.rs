//! Calls that are not gRPC over HTTP/2.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use testbed::control::{self, Form};

/// A gRPC-Web call as browser clients send it.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Web {
    pub mode: WebMode,
    pub protocol: HttpVersion,
}

/// Encoding of gRPC-Web.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WebMode {
    /// `application/grpc-web+proto`.
    #[default]
    Binary,
    /// `application/grpc-web-text`: base64.
    Text,
}

/// A plain HTTP request. The probe's `metadata` are its headers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Http {
    /// `GET`, `OPTIONS`, …
    pub method: String,
    /// Request path; the path of the probe's `call` when absent.
    #[serde(default)]
    pub path: Option<String>,
    #[serde(default)]
    pub protocol: HttpVersion,
    #[serde(default)]
    pub body: Option<String>,
}

/// HTTP version that the caller speaks.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
pub enum HttpVersion {
    #[default]
    #[serde(rename = "HTTP/1.1")]
    Http1,
    #[serde(rename = "HTTP/2.0")]
    Http2,
}

impl From<HttpVersion> for control::Protocol {
    fn from(version: HttpVersion) -> Self {
        match version {
            HttpVersion::Http1 => Self::Http1,
            HttpVersion::Http2 => Self::Http2,
        }
    }
}

impl From<Web> for Form {
    fn from(web: Web) -> Self {
        let mode = match web.mode {
            WebMode::Binary => control::WebMode::Binary,
            WebMode::Text => control::WebMode::Text,
        };
        Self::Web(control::WebPlan {
            mode,
            protocol: web.protocol.into(),
        })
    }
}

impl From<Http> for Form {
    fn from(http: Http) -> Self {
        Self::Http(control::HttpPlan {
            method: http.method,
            path: http.path,
            protocol: http.protocol.into(),
            body: http.body,
        })
    }
}

/// Calls by a real browser: Chromium loads a page from the origin `page`, which makes the calls
/// with the library `client`. The probe's `to` is a workload and a port of its pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Browser {
    pub client: BrowserClient,
    /// Origin of the page, e.g. `http://app.example.test`; every host serves the page.
    pub page: String,
}

/// A gRPC-Web library for browsers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BrowserClient {
    /// npm `grpc-web`, binary.
    GrpcWeb,
    /// npm `grpc-web`, text.
    GrpcWebText,
    /// npm `@connectrpc/connect-web` with its gRPC-Web transport.
    ConnectWeb,
}

impl BrowserClient {
    /// The name in suite files and in the page.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GrpcWeb => "grpc-web",
            Self::GrpcWebText => "grpc-web-text",
            Self::ConnectWeb => "connect-web",
        }
    }
}
