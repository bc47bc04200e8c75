//! "Does this gateway serve this certificate": content of SDS, not versions.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{
    errors::{Classified, ErrorClass, chain},
    observe::envoy,
    timeouts::timeouts,
    transport::http::{HttpError, Port},
    wait::{self, Look},
};

/// A certificate that a gateway is to serve.
#[derive(Debug, Clone)]
pub struct Served {
    pub serial: String,
    pub secret: String,
    /// The chain as the Secret holds it.
    pub pem: String,
}

/// Why a gateway is not known to serve what a Secret holds.
#[derive(Debug, thiserror::Error)]
#[error("gateway {proxy} did not take the certificates within {limit:?}: {last}")]
pub struct SecretError {
    proxy: String,
    limit: Duration,
    last: String,
}

impl Classified for SecretError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Mesh
    }
}

/// Waits until every Secret of `current` that the gateway uses is there in its present state. Listeners are waited for as long as
/// nothing but them is missing: one that wants a Secret nobody wrote never becomes ready, which a scenario may want to see.
///
/// # Errors
/// The first Secret or listener that is late when the deadline is over.
pub async fn await_secrets(admin: &Port, current: &[Served]) -> Result<(), SecretError> {
    if current.is_empty() {
        return Ok(());
    }
    let limit = timeouts().mesh.certificates;
    let waited = wait::until(limit, async |_| {
        Ok(match late_at(admin, current).await {
            Ok(None) => Look::Met(()),
            Ok(Some(late)) => Look::Unmet(late),
            Err(error) => Look::Unmet(chain(&error)),
        })
    });
    waited.await.map_err(|error| {
        error.or_late(|late| SecretError {
            proxy: admin.pod.clone(),
            limit,
            last: late.last_seen,
        })
    })
}

/// What the gateway does not have as it is to be; `None`: nothing.
async fn late_at(admin: &Port, current: &[Served]) -> Result<Option<String>, HttpError> {
    let active = envoy::secrets(admin, "active").await?;
    let warming = envoy::secrets(admin, "warming").await?;
    if let Some(late) = late(&active, &warming, current) {
        return Ok(Some(late));
    }
    if !names(&warming).is_empty() {
        return Ok(None);
    }
    let listeners = envoy::warming_listeners(admin).await?;
    Ok((!listeners.is_empty()).then(|| format!("listeners not ready: {}", listeners.join(", "))))
}

/// The first Secret that is wanted and not there, or there in another state than it has now.
fn late(active: &Value, warming: &Value, current: &[Served]) -> Option<String> {
    current.iter().find_map(|made| {
        let name = format!("kubernetes://{}", made.secret);
        if names(warming).contains(&name.as_str()) {
            return Some(format!("secret {} is awaited", made.secret));
        }
        let configs = active["configs"].as_array().into_iter().flatten();
        let mut mine = configs.filter(|config| config["name"] == name.as_str());
        let now = STANDARD.encode(&made.pem);
        let old = mine.any(|config| {
            let chain = config.pointer("/secret/tls_certificate/certificate_chain/inline_bytes");
            chain.and_then(Value::as_str) != Some(now.as_str())
        });
        old.then(|| format!("secret {} is there in an older state", made.secret))
    })
}

fn names(dump: &Value) -> Vec<&str> {
    let configs = dump["configs"].as_array().into_iter().flatten();
    configs
        .filter_map(|config| config["name"].as_str())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn dump(pem: &str) -> Value {
        json!({"configs": [{"name": "kubernetes://cert", "secret": {"tls_certificate": {
            "certificate_chain": {"inline_bytes": STANDARD.encode(pem)}}}}]})
    }

    #[test]
    fn a_gateway_must_have_the_present_state_of_what_it_uses() {
        let current = [Served {
            serial: String::new(),
            secret: "cert".into(),
            pem: "new".into(),
        }];
        let none = json!({});
        assert_eq!(late(&none, &none, &current), None, "nobody uses it");
        assert_eq!(late(&dump("new"), &none, &current), None);
        assert!(late(&dump("old"), &none, &current).is_some());
        let awaited = json!({"configs": [{"name": "kubernetes://cert"}]});
        assert!(late(&none, &awaited, &current).is_some());
    }
}
