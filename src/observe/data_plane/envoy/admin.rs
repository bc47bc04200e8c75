//! Envoy's admin interface: configuration dumps (filtered), rejected updates, statistics.

use std::time::Duration;

use http::Method;
use serde_json::Value;

use crate::{
    evidence::sensitive,
    observe::data_plane::hop::Taken,
    transport::http::{HttpError, PodPort},
    values::range,
};

/// Route configurations whose name matches a regular expression, in their current state, as text.
///
/// # Errors
/// When the proxy does not answer.
pub async fn routes(admin: &PodPort, name: &str) -> Result<String, HttpError> {
    let name = escaped(name);
    let resource = format!("dynamic_route_configs&name_regex={name}");
    dump(admin, &resource).await
}

/// A regular expression, escaped for a URL.
fn escaped(pattern: &str) -> String {
    let each = pattern.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'*' | b'-' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    });
    each.collect()
}

/// Names of a namespace's clusters, and of the span collector's, that are not usable yet: Envoy
/// still waits for their endpoints, and a route to one of them fails with `NC`.
///
/// # Errors
/// When the proxy does not answer.
pub async fn warming_clusters(admin: &PodPort, namespace: &str) -> Result<Vec<String>, HttpError> {
    let path = format!(
        "/config_dump?resource=dynamic_warming_clusters&name_regex=.*([.]{namespace}[.]svc%7Ccollector[.]meshproof).*"
    );
    let dump = admin.json(&path).await?;
    let configs = dump["configs"].as_array().into_iter().flatten();
    let name = |config: &Value| Some(config.pointer("/cluster/name")?.as_str()?.to_owned());
    Ok(configs.filter_map(name).collect())
}

/// Endpoint configurations (EDS) of the services of a namespace.
///
/// # Errors
/// When the proxy does not answer.
pub async fn endpoint_configs(admin: &PodPort, namespace: &str) -> Result<Value, HttpError> {
    let name = format!("outbound.*[.]{namespace}[.]svc.*");
    admin
        .json(&format!(
            "/config_dump?include_eds&resource=dynamic_endpoint_configs&name_regex={name}"
        ))
        .await
}

/// How many updates of listeners and clusters the proxy has rejected since it started
/// (`update_rejected` of LDS and CDS).
///
/// # Errors
/// When the proxy does not answer.
pub async fn rejections(admin: &PodPort) -> Result<u64, HttpError> {
    stat(admin, "update_rejected").await
}

/// The sum of the statistics whose name matches a regular expression.
///
/// # Errors
/// When the proxy does not answer.
pub async fn stat(admin: &PodPort, name: &str) -> Result<u64, HttpError> {
    let escaped = escaped(name);
    let path = format!("/stats?filter={escaped}");
    let body = admin.fetch(Method::GET, &path).await?;
    Ok(sum(&String::from_utf8_lossy(&body)))
}

/// Every counter and gauge with its value.
///
/// # Errors
/// When the proxy does not answer.
pub async fn counters(admin: &PodPort) -> Result<Vec<(String, u64)>, HttpError> {
    let body = admin.fetch(Method::GET, "/stats").await?;
    let text = String::from_utf8_lossy(&body);
    let pairs = text.lines().filter_map(|line| line.rsplit_once(": "));
    let pairs = pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)));
    Ok(pairs.collect())
}

/// The longest interval at which the proxy flushes its access log (`--file-flush-interval-msec`).
///
/// # Errors
/// When the proxy does not answer, or does not report it.
pub async fn flush_interval(admin: &PodPort) -> Result<Duration, HttpError> {
    let path = "/server_info";
    let info = admin.json(path).await?;
    let found = info.pointer("/command_line_options/file_flush_interval");
    let found = found.and_then(Value::as_str).map(range::duration);
    found
        .and_then(Result::ok)
        .ok_or_else(|| HttpError::Exchange {
            what: path.to_owned(),
            pod: admin.pod.clone(),
            source: "no file_flush_interval".into(),
        })
}

/// The sum of `name: value` lines.
fn sum(stats: &str) -> u64 {
    let values = stats.lines().filter_map(|line| line.rsplit_once(": "));
    values
        .filter_map(|(_, value)| value.trim().parse::<u64>().ok())
        .fold(0, u64::saturating_add)
}

/// The first rejected update (NACK) that the proxy reports, with Envoy's message.
///
/// # Errors
/// When the proxy does not answer.
pub async fn rejected(admin: &PodPort) -> Result<Option<String>, HttpError> {
    let dump = admin.json("/config_dump").await?;
    Ok(first_error(&dump).map(|message| sensitive::refusal(&message)))
}

/// The cluster, and all listeners and routes that may lead to it. A full dump blocks Envoy's main
/// thread for so long that it looks stalled, so only what may concern the call is requested.
///
/// # Errors
/// When the proxy does not answer.
pub async fn around(admin: &PodPort, gateway: bool, taken: &Taken) -> Result<Value, HttpError> {
    let name = taken.cluster.trim_end_matches(';');
    let cluster = name.replace('|', "%5B%7C%5D"); // a class of one character, because the bar is an operator
    let port = taken.authority.rsplit_once(':').map(|(_, port)| port);
    let number = port.filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    let (listeners, routes) = match number {
        _ if name.starts_with("inbound|") => ("virtualInbound".to_owned(), None),
        // A sidecar names listeners and routes after the port that is called. A gateway names
        // them after its pod's own ports, and has few.
        Some(port) if !gateway => (format!(".*_{port}"), Some(format!("{port}%7C.*:{port}"))),
        _ => (".*".to_owned(), Some(".*".to_owned())),
    };
    let mut parts = serde_json::Map::new();
    for (resource, regex) in [
        ("dynamic_active_clusters", Some(cluster)),
        ("dynamic_listeners", Some(listeners)),
        ("dynamic_route_configs", routes),
    ] {
        let Some(regex) = regex else { continue };
        let path = format!("/config_dump?resource={resource}&name_regex={regex}");
        let mut dump = admin.json(&path).await?;
        parts.insert(resource.to_owned(), dump["configs"].take());
    }
    Ok(serde_json::json!({"configs": [parts]}))
}

/// The proxy's whole current configuration, without endpoints.
///
/// # Errors
/// When the proxy does not answer.
pub async fn whole(admin: &PodPort) -> Result<Value, HttpError> {
    admin.json("/config_dump").await
}

/// Secrets (SDS) that are `active`, or `warming`: requested but not received yet. Envoy leaves
/// out private keys.
///
/// # Errors
/// When the proxy does not answer.
pub async fn secrets(admin: &PodPort, state: &str) -> Result<Value, HttpError> {
    admin
        .json(&format!("/config_dump?resource=dynamic_{state}_secrets"))
        .await
}

/// Whether a Secret was requested but not received yet.
///
/// # Errors
/// When the proxy does not answer.
pub async fn awaits_secrets(admin: &PodPort) -> Result<bool, HttpError> {
    let dump = secrets(admin, "warming").await?;
    let configs = dump["configs"].as_array();
    Ok(configs.is_some_and(|configs| !configs.is_empty()))
}

/// Names of listeners that are not open yet. They are not looked up if Envoy says that there are
/// none ("Listener manager: statistics"), because a dump of all listeners keeps its main thread
/// busy for tens of milliseconds. A proxy may be configured not to have that gauge.
///
/// # Errors
/// When the proxy does not answer.
pub async fn warming_listeners(admin: &PodPort) -> Result<Vec<String>, HttpError> {
    let gauge = "/stats?filter=^listener_manager.total_listeners_warming$";
    let body = admin.fetch(Method::GET, gauge).await?;
    if body.trim_ascii() == b"listener_manager.total_listeners_warming: 0" {
        return Ok(Vec::new());
    }
    let dump = admin
        .json("/config_dump?resource=dynamic_listeners")
        .await?;
    let configs = dump["configs"].as_array().into_iter().flatten();
    let warming = configs.filter(|config| config.get("warming_state").is_some());
    let name = |config: &Value| Some(config["name"].as_str()?.to_owned());
    Ok(warming.filter_map(name).collect())
}

/// The proxy's configuration of one resource type, as text.
///
/// # Errors
/// When the proxy does not answer.
pub async fn dump(admin: &PodPort, kind: &str) -> Result<String, HttpError> {
    let path = format!("/config_dump?resource={kind}");
    let body = admin.fetch(Method::GET, &path).await?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// Depth-first search for `error_state.details` (Envoy admin API, `UpdateFailureState`).
fn first_error(value: &Value) -> Option<String> {
    match value {
        Value::Object(fields) => {
            let details = fields
                .get("error_state")
                .and_then(|state| state.get("details"))
                .and_then(Value::as_str);
            details
                .map(str::to_owned)
                .or_else(|| fields.values().find_map(first_error))
        }
        Value::Array(items) => items.iter().find_map(first_error),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rejections_are_added_up() {
        let stats =
            "cluster_manager.cds.update_rejected: 1\nlistener_manager.lds.update_rejected: 2\n";
        assert_eq!(sum(stats), 3);
        assert_eq!(sum(&format!("a: {}\nb: 2\n", u64::MAX)), u64::MAX);
    }

    #[test]
    fn a_rejected_update_is_found_however_deep() {
        let dump = json!({"configs": [{"x": 1}, {"dynamic_listeners": [{"error_state": {"details": "bad port"}}]}]});
        assert_eq!(first_error(&dump).as_deref(), Some("bad port"));
        assert_eq!(
            first_error(&json!({"configs": [{"error_state": {}}]})),
            None
        );
    }
}
