//! `certificate`: a Secret with a certificate issued for this scenario.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::{Around, Before, Limit, Mistake, Verb};

/// A certificate generated in memory and written as a Secret of type `kubernetes.io/tls`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Certificate {
    /// Name of the Secret in the scenario's namespace. A second certificate for the same Secret is
    /// a rotation.
    pub secret: String,
    /// DNS names of the certificate.
    pub hosts: Vec<String>,
    /// Name of the certificate in expectations; the Secret's name when absent.
    #[serde(default, rename = "as")]
    pub label: Option<String>,
    /// Authority that signs it, created on first use; `authority` when absent.
    #[serde(default)]
    pub issuer: Option<String>,
    /// Issuer whose client certificates a gateway with mutual TLS accepts (`ca.crt` of the Secret).
    #[serde(default)]
    pub clients: Option<String>,
    /// Issue a certificate that has already expired.
    #[serde(default)]
    pub expired: bool,
}

impl Certificate {
    /// Its name in expectations.
    pub fn name(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.secret)
    }
}

impl Verb for Certificate {
    const NAME: &'static str = "certificate";
    const DOC: &'static str = "Write a fresh certificate into a Secret; returns when every gateway that uses the Secret serves it.";
    const FORM: &'static str = "`certificate: {secret, hosts, as, issuer, clients, expired}`";
    const DOES: &'static str = "generates a certificate in memory and writes it as a Secret of the namespace; returns when every gateway that uses the Secret serves it. A second certificate for the same Secret is a rotation; `delete: SECRET` removes it";

    fn describe(&self) -> String {
        format!(
            "write certificate {} into secret {} and wait until every gateway that uses it has it",
            self.name(),
            self.secret
        )
    }

    fn mistakes(&self, _: &Before, _: &Around<'_>) -> Vec<Mistake> {
        if !self.hosts.is_empty() {
            return Vec::new();
        }
        vec![Mistake::key(
            "",
            "every client rejects a certificate without names",
            "name at least one, e.g. `hosts: [\"${host}\"]`",
        )]
    }

    fn leaves(&self, before: &mut Before) {
        before.applied.insert(self.secret.clone());
    }

    fn limits(&self) -> Vec<Limit<'_>> {
        vec![Limit::List("hosts", "hosts", self.hosts.len())]
    }
}
