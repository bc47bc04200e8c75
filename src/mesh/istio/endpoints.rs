//! "Does this proxy know these endpoints": content of EDS, not versions.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::observe::{envoy, http::Port};

const LOOK: Duration = Duration::from_millis(10);
const DEADLINE: Duration = Duration::from_secs(20);

/// Why a proxy is not known to have the right endpoints.
#[derive(Debug, thiserror::Error)]
#[error(
    "proxy {proxy} did not have the endpoints of {app} within {limit:?}: wanted {wanted:?}, last seen {seen:?} {trouble}"
)]
pub struct EndpointsError {
    proxy: Box<str>,
    app: Box<str>,
    limit: Duration,
    wanted: BTreeSet<String>,
    seen: BTreeSet<String>,
    trouble: Box<str>,
}

/// Envoy gathers changes of endpoints' health and gives them to its workers at the end of this window, unless membership changed
/// (`common_lb_config.update_merge_window`, default 1 s). Istio announces a new pod as unhealthy first
/// (`PILOT_AUTO_SEND_UNHEALTHY_ENDPOINTS`), so its readiness is such a change.
const MERGE_WINDOW: Duration = Duration::from_secs(1);

/// Waits until the proxy has exactly these addresses as healthy endpoints, by Service, in the outbound clusters of the
/// namespace's Services. A proxy that does not have the cluster yet has not the endpoints either. With `settled`, they must have
/// stayed so for Envoy's merge window: then its workers have them too.
///
/// # Errors
/// The first app that differs when the deadline is over.
pub async fn await_endpoints(
    admin: &Port,
    namespace: &str,
    wanted: &BTreeMap<String, Vec<String>>,
    settled: bool,
) -> Result<(), EndpointsError> {
    let hold = if settled {
        MERGE_WINDOW
    } else {
        Duration::ZERO
    };
    let mut since = None;
    let deadline = Instant::now() + DEADLINE;
    loop {
        let (difference, trouble) = match envoy::endpoint_configs(admin, namespace).await {
            Ok(dump) => (
                difference(&of_services(&dump, namespace), wanted),
                String::new(),
            ),
            Err(error) => (difference(&BTreeMap::new(), wanted), error.to_string()),
        };
        let Some((app, wanted, seen)) = difference else {
            if since.get_or_insert_with(Instant::now).elapsed() >= hold {
                return Ok(());
            }
            sleep(LOOK).await;
            continue;
        };
        since = None;
        if Instant::now() > deadline {
            return Err(EndpointsError {
                proxy: admin.pod.as_str().into(),
                app: app.into(),
                limit: DEADLINE,
                wanted,
                seen,
                trouble: trouble.into(),
            });
        }
        sleep(LOOK).await;
    }
}

type Addresses = BTreeSet<String>;

fn difference(
    seen: &BTreeMap<String, Addresses>,
    wanted: &BTreeMap<String, Vec<String>>,
) -> Option<(String, Addresses, Addresses)> {
    wanted.iter().find_map(|(app, addresses)| {
        let wanted: Addresses = addresses.iter().cloned().collect();
        let have = seen.get(app).cloned().unwrap_or_default();
        (have != wanted).then(|| (app.clone(), wanted, have))
    })
}

/// Addresses by service name, out of a dump of endpoint configurations (`outbound|PORT|SUBSET|NAME.NAMESPACE.svc…`). Subsets
/// have a part of the endpoints and are left out.
fn of_services(dump: &Value, namespace: &str) -> BTreeMap<String, Addresses> {
    let mut all: BTreeMap<String, Addresses> = BTreeMap::new();
    for config in dump["configs"].as_array().into_iter().flatten() {
        let assignment = &config["endpoint_config"];
        let name = assignment["cluster_name"].as_str().unwrap_or_default();
        let mut parts = name.split('|').skip(2);
        let (Some(""), Some(host)) = (parts.next(), parts.next()) else {
            continue;
        };
        let Some(service) = host
            .strip_suffix(".svc.cluster.local")
            .and_then(|host| host.strip_suffix(&format!(".{namespace}")))
        else {
            continue;
        };
        let found = all.entry(service.to_owned()).or_default();
        let endpoints = assignment["endpoints"].as_array().into_iter().flatten();
        let endpoints = endpoints
            .flat_map(|locality| locality["lb_endpoints"].as_array().into_iter().flatten());
        found.extend(endpoints.filter(is_healthy).filter_map(|endpoint| {
            endpoint
                .pointer("/endpoint/address/socket_address/address")
                .and_then(Value::as_str)
                .map(str::to_owned)
        }));
    }
    all
}

/// Health as the control plane says it; Envoy takes UNKNOWN, the default, for healthy.
fn is_healthy(endpoint: &&Value) -> bool {
    matches!(
        endpoint["health_status"].as_str(),
        None | Some("UNKNOWN" | "HEALTHY")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn endpoints_are_compared_by_service_and_subsets_are_left_out() {
        let at = |ip: &str| json!({"endpoint": {"address": {"socket_address": {"address": ip}}}});
        let config = |name: &str, ips: &[&str]| {
            let all: Vec<_> = ips.iter().map(|ip| at(ip)).collect();
            json!({"endpoint_config": {"cluster_name": name, "endpoints": [{"lb_endpoints": all}]}})
        };
        let dump = json!({"configs": [
            config("outbound|50051||greeter.ns.svc.cluster.local", &["10.0.0.1", "10.0.0.2"]),
            config("outbound|50051|v1|greeter.ns.svc.cluster.local", &["10.0.0.1"]),
            config("outbound|50051||greeter.other.svc.cluster.local", &["10.0.0.9"]),
        ]});
        let seen = of_services(&dump, "ns");
        let want = |ips: &[&str]| {
            BTreeMap::from([(
                "greeter".to_owned(),
                ips.iter().map(|&ip| ip.to_owned()).collect(),
            )])
        };
        assert!(difference(&seen, &want(&["10.0.0.2", "10.0.0.1"])).is_none());
        let (app, ..) = difference(&seen, &want(&["10.0.0.1"])).expect("one address too many");
        assert_eq!(app, "greeter");
    }
}
