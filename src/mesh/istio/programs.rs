//! "Is this configuration live" in programs that are their own data plane (proxyless gRPC).
//!
//! Such a program has no admin interface of Envoy's. It tells over its control port what its xDS clients hold (client status discovery
//! service, gRFC A40), and istiod tells what it would send on the same connection (`/debug/config_dump`). The two are compared by
//! content, once istiod's view of that connection is at least as new as the push in which the ingress gateway got the marker: the
//! marker cannot lie in the program itself, because pilot-agent serves a single xDS stream at a time and grpc-go opens one for each
//! target. Resources that no open channel watches are not there; a new channel asks for them and gets the newest.

use futures::future::try_join_all;
use serde_json::Value;
use tokio::time::Instant;

use super::{arrival::shown, change::LiveError};
use crate::{
    errors::chain,
    timeouts::timeouts,
    transport::http::{HttpError, Port},
    wait::{self, Look, TimedOut},
};

/// Waits until every program holds what istiod has for it, from the push with this generation's marker on. `reference` is the proxy,
/// `POD.NAMESPACE`, that shows the marker to istiod's debug interface.
///
/// # Errors
/// [`LiveError::Nack`] for a resource that the program refused, [`LiveError::NotLive`] with what was last seen.
pub async fn await_live(
    istiod: &Port,
    reference: &str,
    (namespace, generation): (&str, u64),
    programs: &[Port],
) -> Result<(), LiveError> {
    let (began, limit) = (Instant::now(), timeouts().mesh.push);
    let not_live = |program: &str| {
        let proxy = program.to_owned();
        move |late: TimedOut| LiveError::NotLive {
            proxy,
            generation,
            limit,
            last: late.last_seen,
        }
    };
    let pushed = wait::until(limit, async |_| {
        has_pushed(istiod, reference, namespace, generation).await
    });
    let pushed = pushed.await;
    let pushed = pushed.map_err(|error| error.or_late(not_live(reference)))?;
    let left = limit.saturating_sub(began.elapsed());
    let waits = programs.iter().map(|program| async {
        let waited = wait::until(left, async |_| holds(istiod, program, pushed).await);
        let waited = waited.await;
        waited.map_err(|error| error.or_late(not_live(&program.pod)))
    });
    try_join_all(waits).await.map(drop)
}

/// istiod has sent a push with this generation's marker to the proxy `reference`: its number.
async fn has_pushed(
    istiod: &Port,
    reference: &str,
    namespace: &str,
    generation: u64,
) -> Result<Look<u64>, LiveError> {
    Ok(match view(istiod, reference).await {
        Ok(dump) if shown(&dump.to_string(), namespace) >= Some(generation) => {
            Look::Met(version(&dump))
        }
        Ok(_) => Look::Unmet("no marker".to_owned()),
        Err(error) => Look::Unmet(chain(&error)),
    })
}

/// A program holds what istiod has for it since a push.
async fn holds(istiod: &Port, program: &Port, pushed: u64) -> Result<Look<()>, LiveError> {
    Ok(match behind(istiod, program, pushed).await {
        Ok(None) => Look::Met(()),
        Ok(Some(Lag::Refused(words))) => {
            let proxy = program.pod.clone();
            return Err(LiveError::Nack { proxy, words });
        }
        Ok(Some(Lag::Late(words))) => Look::Unmet(words),
        Err(error) => Look::Unmet(chain(&error)),
    })
}

/// What istiod has for a connected proxy or program.
async fn view(istiod: &Port, proxy: &str) -> Result<Value, HttpError> {
    let path = format!("/debug/config_dump?proxyID={proxy}");
    istiod.json(&path).await
}

/// Why a program is not there yet.
#[derive(Debug, PartialEq, Eq)]
enum Lag {
    Late(String),
    Refused(String),
}

async fn behind(istiod: &Port, program: &Port, pushed: u64) -> Result<Option<Lag>, HttpError> {
    let held = program.json("/v1/xds?full").await?;
    if resources(&held).next().is_none() {
        return Ok(None);
    }
    let sent = view(istiod, &format!("{}.{}", program.pod, program.namespace)).await?;
    Ok(lag(&held, &sent, pushed))
}

/// Compares what a program holds (CSDS) with istiod's view of its connection. Endpoints are no part of it: they come on their own.
fn lag(held: &Value, sent: &Value, pushed: u64) -> Option<Lag> {
    let at = version(sent);
    if at < pushed {
        return Some(Lag::Late(format!("istiod's push {at} instead of {pushed}")));
    }
    resources(held).find_map(|resource| {
        let name = resource["name"].as_str().unwrap_or_default();
        if resource["clientStatus"] == "NACKED" {
            let words = resource.pointer("/errorState/details");
            let words = words.and_then(Value::as_str).unwrap_or("without a reason");
            return Some(Lag::Refused(format!("{name}: {words}")));
        }
        let kind = resource["typeUrl"].as_str().unwrap_or_default();
        let wanted = find(sent, kind, name)?;
        let differs = resource.get("xdsConfig") != Some(wanted);
        differs.then(|| Lag::Late(format!("{name} is not what istiod has")))
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

/// Number of the push that a dump was made from: istiod's versions are `TIME/NUMBER`, and the number grows.
fn version(dump: &Value) -> u64 {
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
    #[case::other_content("ACKED", "2026-11-21T08:38:49Z/13", "plaintext", Some("not what"))]
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
            (Some(Lag::Late(words) | Lag::Refused(words)), Some(why)) => {
                assert!(words.contains(why), "{words}");
            }
            (found, why) => panic!("{found:?} instead of {why:?}"),
        }
    }
}
