//! gRPC as its own data plane (proxyless): a test bed program whose control port reports the
//! resources of its xDS clients (client status discovery service, gRFC A40). It has no admin
//! interface, no access log and no counters.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use testbed::control::CONTROL_PORT;

use super::spec::{Ability, AskError, Compare, Contents, DataPlane, Lag, Plane};
use crate::transport::{PodDialer, http::PodPort};

/// One program.
#[derive(Debug, Clone)]
pub struct Grpc {
    control: PodPort,
    revision: String,
}

impl Grpc {
    /// The program of a pod, configured by the control plane of a revision.
    pub fn of(dial: &PodDialer, (namespace, pod): (&str, &str), revision: &str) -> Plane {
        let control = PodPort {
            dial: dial.clone(),
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            port: CONTROL_PORT,
        };
        let revision = revision.to_owned();
        Arc::new(Self { control, revision })
    }
}

#[async_trait]
impl DataPlane for Grpc {
    fn kind(&self) -> &'static str {
        "proxyless gRPC"
    }

    fn abilities(&self) -> &'static [Ability] {
        &[Ability::Contents]
    }

    fn port(&self) -> &PodPort {
        &self.control
    }

    fn revision(&self) -> &str {
        &self.revision
    }

    async fn contents(&self) -> Result<Option<Contents>, AskError> {
        let held = self.control.json("/v1/xds?full").await?;
        let asked = resources(&held).next().is_some();
        Ok(asked.then(|| Box::new(Held(held)) as Contents))
    }
}

/// Resources of all xDS clients of a program, as it reports them.
#[derive(Debug)]
struct Held(Value);

impl Compare for Held {
    fn lag(&self, sent: &Value, pushed: u64) -> Option<Lag> {
        lag(&self.0, sent, pushed)
    }
}

/// Compares a program's resources (CSDS) with istiod's view of its connection. Endpoints are not
/// compared: they are pushed separately.
fn lag(held: &Value, sent: &Value, pushed: u64) -> Option<Lag> {
    let at = version(sent);
    if at < pushed {
        return Some(Lag::Late(format!(
            "istiod is at push {at}, not yet at push {pushed}"
        )));
    }
    resources(held).find_map(|resource| {
        let name = resource["name"].as_str().unwrap_or_default();
        if resource["clientStatus"] == "NACKED" {
            let message = resource.pointer("/errorState/details");
            let message = message.and_then(Value::as_str).unwrap_or("no reason given");
            return Some(Lag::Refused(format!("{name}: {message}")));
        }
        let kind = resource["typeUrl"].as_str().unwrap_or_default();
        let expected = find(sent, kind, name)?;
        let differs = resource.get("xdsConfig") != Some(expected);
        differs.then(|| Lag::Late(format!("{name} differs from istiod's version")))
    })
}

/// Listeners, routes and clusters of all xDS clients of a program.
fn resources(held: &Value) -> impl Iterator<Item = &Value> {
    let clients = held["config"].as_array().into_iter().flatten();
    let all = clients.flat_map(|client| client["genericXdsConfigs"].as_array());
    all.flatten().filter(|resource| {
        let kind = resource["typeUrl"].as_str().unwrap_or_default();
        !kind.ends_with(".ClusterLoadAssignment")
    })
}

/// Depth-first search for a resource by type and name.
fn find<'a>(value: &'a Value, kind: &str, name: &str) -> Option<&'a Value> {
    match value {
        Value::Object(fields) if fields.get("@type").is_some_and(|is| is == kind) => {
            (fields.get("name")? == name).then_some(value)
        }
        Value::Object(fields) => fields.values().find_map(|field| find(field, kind, name)),
        Value::Array(items) => items.iter().find_map(|item| find(item, kind, name)),
        _ => None,
    }
}

/// Number of the push that a dump shows: istiod's versions are `TIME/NUMBER`, and the number
/// increases.
pub fn version(dump: &Value) -> u64 {
    let configs = dump["configs"].as_array().into_iter().flatten();
    let numbers = configs.filter_map(|config| {
        let (_, number) = config["versionInfo"].as_str()?.rsplit_once('/')?;
        number.parse().ok()
    });
    numbers.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";

    fn held(status: &str, chain: &str) -> Value {
        json!({"config": [{"clientScope": "#server", "genericXdsConfigs": [
            {"typeUrl": LISTENER, "name": "inbound", "clientStatus": status, "errorState": {"details": "no such thing"},
             "xdsConfig": {"@type": LISTENER, "name": "inbound", "chain": chain}},
            {"typeUrl": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment", "name": "inbound"}]}]})
    }

    fn sent(version: &str, chain: &str) -> Value {
        json!({"configs": [{"versionInfo": version, "dynamicListeners": [
            {"activeState": {"listener": {"@type": LISTENER, "name": "inbound", "chain": chain}}}]}]})
    }

    #[rstest]
    #[case::the_same("ACKED", "2026-11-21T08:38:49Z/13", "mtls", None)]
    #[case::newer_than_needed("ACKED", "2026-11-21T08:38:49Z/140", "mtls", None)]
    #[case::istiod_is_behind("ACKED", "2026-11-21T08:38:49Z/9", "mtls", Some("push 9"))]
    #[case::other_content("ACKED", "2026-11-21T08:38:49Z/13", "plaintext", Some("differs from"))]
    #[case::refused("NACKED", "2026-11-21T08:38:49Z/13", "mtls", Some("no such thing"))]
    fn a_program_is_live_when_it_holds_what_istiod_has(
        #[case] status: &str,
        #[case] version: &str,
        #[case] chain: &str,
        #[case] why: Option<&str>,
    ) {
        let found = lag(&held(status, "mtls"), &sent(version, chain), 13);
        match (found, why) {
            (None, None) => {}
            (Some(Lag::Late(message) | Lag::Refused(message)), Some(why)) => {
                assert!(message.contains(why), "{message}");
            }
            (found, why) => panic!("{found:?} instead of {why:?}"),
        }
    }
}
