//! TLS settings of a caller.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// TLS settings of the caller. Fields set in a case or a contrast override those of the probe one
/// by one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Tls {
    /// Server name (SNI); the authority's host when absent, no server name for `none`.
    pub sni: Option<String>,
    /// ALPN protocols in order of preference; `[h2]` when absent, no ALPN for `[]`.
    pub alpn: Option<Vec<String>>,
    /// `1.2` or `1.3`; both when absent.
    pub version: Option<String>,
    /// Issuer whose certificates are trusted; when absent, any is accepted and reported.
    pub roots: Option<String>,
    /// Issuer of the client certificate; when absent, the caller has none.
    pub client: Option<String>,
}

impl Tls {
    /// Merges the settings; fields set in `above` take precedence.
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
