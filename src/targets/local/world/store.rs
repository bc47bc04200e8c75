//! The contents of etcd, through its HTTP API: what a snapshot must not have is removed.
//!
//! Source of the paths: etcd, "gRPC gateway"; of the prefixes: Kubernetes' storage layout
//! (`/registry/<resource>/<namespace>/<name>`).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// What belongs to one life of a control plane: identities, addresses, what controllers recorded
/// about pods and nodes, and everything that is secret.
const TRANSIENT: [&str; 10] = [
    "/registry/pods/",
    "/registry/minions/",
    "/registry/leases/",
    "/registry/masterleases/",
    "/registry/events/",
    "/registry/secrets/",
    "/registry/services/endpoints/",
    "/registry/endpointslices/",
    "/registry/csinodes/",
    "/registry/certificatesigningrequests/",
];
/// Names of ConfigMaps with certificates of the control plane's own authority.
const CERTIFICATES: [&str; 2] = ["/kube-root-ca.crt", "/extension-apiserver-authentication"];
const CONFIG_MAPS: &str = "/registry/configmaps/";

/// An error changing the store.
#[derive(Debug, thiserror::Error)]
#[error("cannot remove transient objects from etcd")]
pub struct StoreError(#[from] reqwest::Error);

/// Removes every object that a new control plane must not find. The API server must not run.
///
/// # Errors
/// [`StoreError`].
pub async fn remove_transient() -> Result<(), StoreError> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    for prefix in TRANSIENT {
        ask(&client, "deleterange", &below(prefix)).await?;
    }
    let mut every = below(CONFIG_MAPS);
    every["keys_only"] = true.into();
    let found = ask(&client, "range", &every).await?;
    for key in certificates(&found) {
        ask(&client, "deleterange", &json!({"key": key})).await?;
    }
    Ok(())
}

async fn ask(client: &reqwest::Client, what: &str, body: &Value) -> Result<Value, StoreError> {
    let url = format!("http://127.0.0.1:2379/v3/kv/{what}");
    let answer = client.post(url).json(body).send().await?;
    Ok(answer.error_for_status()?.json().await?)
}

/// All keys that begin with `prefix`, which ends with `/`: the end of the range is the prefix with
/// its last byte increased.
fn below(prefix: &str) -> Value {
    let end = format!("{}0", prefix.trim_end_matches('/'));
    json!({"key": STANDARD.encode(prefix), "range_end": STANDARD.encode(end)})
}

/// The keys of ConfigMaps with certificates, encoded as etcd returned them.
fn certificates(found: &Value) -> Vec<String> {
    let keys = found["kvs"].as_array().into_iter().flatten();
    keys.filter_map(|entry| entry["key"].as_str())
        .filter(|key| {
            let plain = STANDARD.decode(key).unwrap_or_default();
            let plain = String::from_utf8_lossy(&plain);
            CERTIFICATES.iter().any(|name| plain.ends_with(name))
        })
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_ends_after_everything_below_its_prefix() {
        let range = below("/registry/pods/");
        let plain = |field: &str| STANDARD.decode(range[field].as_str().unwrap()).unwrap();
        assert_eq!(plain("key"), b"/registry/pods/");
        assert_eq!(plain("range_end"), b"/registry/pods0");
        assert!(b"/registry/pods/zz/z".as_slice() < b"/registry/pods0".as_slice());
        assert!(b"/registry/podtemplates/a".as_slice() > b"/registry/pods0".as_slice());
    }

    #[test]
    fn only_certificates_of_the_control_plane_are_found() {
        let key = |text: &str| STANDARD.encode(format!("/registry/configmaps/{text}"));
        let all = [
            "a/kube-root-ca.crt",
            "a/mine",
            "kube-system/extension-apiserver-authentication",
        ];
        let kvs: Vec<Value> = all.iter().map(|text| json!({"key": key(text)})).collect();
        let found = certificates(&json!({"kvs": kvs}));
        assert_eq!(found, [key(all[0]), key(all[2])]);
        assert!(certificates(&json!({})).is_empty());
    }
}
