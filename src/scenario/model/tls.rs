//! The words of suite files that concern certificates, handshakes and refused configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// TLS as the caller offers it. Fields of a row or a contrast are laid over those of the probe one by one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Tls {
    /// Server name that is asked for; the authority's host when absent, no name at all for `none`.
    pub sni: Option<String>,
    /// ALPN protocols in the caller's order; `[h2]` when absent, no ALPN for `[]`.
    pub alpn: Option<Vec<String>>,
    /// `1.2` or `1.3`; both when absent.
    pub version: Option<String>,
    /// Issuer whose certificates are trusted; when absent any certificate is taken, and reported.
    pub roots: Option<String>,
    /// Issuer of the caller's own certificate; when absent it has none.
    pub client: Option<String>,
}

impl Tls {
    /// Set fields of `above` win.
    #[must_use]
    pub fn with(&self, above: &Self) -> Self {
        let (below, above) = (self.clone(), above.clone());
        Self {
            sni: above.sni.or(below.sni),
            alpn: above.alpn.or(below.alpn),
            version: above.version.or(below.version),
            roots: above.roots.or(below.roots),
            client: above.client.or(below.client),
        }
    }
}

/// A certificate made in memory and written as a Secret of type `kubernetes.io/tls`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Certificate {
    /// Name of the Secret in the scenario's namespace. A second certificate for the same Secret is a rotation.
    pub secret: String,
    /// DNS names of the certificate.
    pub hosts: Vec<String>,
    /// What expectations call this certificate; the Secret's name when absent.
    #[serde(default, rename = "as")]
    pub label: Option<String>,
    /// Authority that signs, made at its first use; `authority` when absent.
    #[serde(default)]
    pub issuer: Option<String>,
    /// Issuer whose certificates a gateway that asks clients for one accepts (`ca.crt` of the Secret).
    #[serde(default)]
    pub clients: Option<String>,
    /// Its time is over already.
    #[serde(default)]
    pub expired: bool,
}

impl Certificate {
    /// What expectations call it.
    pub fn name(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.secret)
    }
}

/// Configuration that must not be taken.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Refused {
    /// `<behaviour>.<name>.yaml`; every object in it must be refused. A proxy refuses what it is sent, not single objects.
    pub apply: String,
    pub by: RefusedBy,
    /// Words that the refusal must hold.
    #[serde(default)]
    pub says: Option<String>,
}

/// Who refuses an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RefusedBy {
    /// The API server serves no such kind: the group, the version or the kind is wrong, or its CRD is not installed.
    UnknownKind,
    /// The kind's schema.
    Schema,
    /// The mesh's validation webhook.
    Webhook,
    /// A proxy, to which the mesh sent what it had taken (NACK).
    Proxy,
}

impl RefusedBy {
    /// For messages.
    pub fn words(self) -> &'static str {
        match self {
            Self::UnknownKind => "the API server knows no such kind",
            Self::Schema => "the kind's schema",
            Self::Webhook => "the mesh's validation webhook",
            Self::Proxy => "a proxy",
        }
    }
}
