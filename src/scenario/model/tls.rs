//! TLS as a caller offers it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// TLS as the caller offers it. Fields of a row or a contrast are laid over those of the probe one
/// by one.
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
