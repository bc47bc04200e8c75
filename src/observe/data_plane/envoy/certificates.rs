//! Checks the certificates that Envoy serves: the content of SDS, not its version.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::admin as interface;
use crate::{
    observe::data_plane::spec::Served,
    transport::http::{HttpError, PodPort},
};

/// What the gateway lacks or has in an old version. `None` if it is up to date.
pub async fn late(admin: &PodPort, current: &[Served]) -> Result<Option<String>, HttpError> {
    let active = interface::secrets(admin, "active").await?;
    let warming = interface::secrets(admin, "warming").await?;
    if let Some(late) = first_late(&active, &warming, current) {
        return Ok(Some(late));
    }
    if !names(&warming).is_empty() {
        return Ok(None);
    }
    let listeners = interface::warming_listeners(admin).await?;
    Ok((!listeners.is_empty()).then(|| format!("listeners not ready: {}", listeners.join(", "))))
}

/// The first Secret that the gateway waits for, or has in an older version.
fn first_late(active: &Value, warming: &Value, current: &[Served]) -> Option<String> {
    current.iter().find_map(|made| {
        let name = format!("kubernetes://{}", made.secret);
        if names(warming).contains(&name.as_str()) {
            return Some(format!("it is still waiting for secret {}", made.secret));
        }
        let configs = active["configs"].as_array().into_iter().flatten();
        let mut mine = configs.filter(|config| config["name"] == name.as_str());
        let now = STANDARD.encode(&made.pem);
        let old = mine.any(|config| {
            let chain = config.pointer("/secret/tls_certificate/certificate_chain/inline_bytes");
            chain.and_then(Value::as_str) != Some(now.as_str())
        });
        old.then(|| format!("it serves an older version of secret {}", made.secret))
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
        assert_eq!(first_late(&none, &none, &current), None, "not in use");
        assert_eq!(first_late(&dump("new"), &none, &current), None);
        assert!(first_late(&dump("old"), &none, &current).is_some());
        let awaited = json!({"configs": [{"name": "kubernetes://cert"}]});
        assert!(first_late(&none, &awaited, &current).is_some());
    }
}
