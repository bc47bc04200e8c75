//! Checks whether a proxy has the endpoints that istiod computed for it: the content of EDS, not
//! its version.
//!
//! istiod decides which endpoints a proxy gets: a `Sidecar`, `exportTo`, a subset or a locality
//! setting may rightly leave some out. So the proxy's configuration is compared with what istiod
//! computes for exactly this proxy, from the same store that it pushes from (`/debug/edsz`), once
//! istiod has processed the pods themselves ([`super::shards`]).

use std::{fmt, time::Duration};

use crate::{
    cluster::object::ObjectError,
    errors::{Classified, ErrorClass, Trouble, chain},
    observe::data_plane::{
        AskError, Plane,
        envoy::endpoints::clusters,
        spec::{Addresses, Clusters},
    },
    timeouts::timeouts,
    transport::http::{HttpError, PodPort},
    wait::{self, Look, Steady, WaitError},
};

/// An error while waiting for endpoints.
#[derive(Debug, thiserror::Error)]
pub enum EndpointsError {
    /// The mesh is at fault: a component was notified of the endpoints, and did not process them
    /// or pass them on.
    #[error("{0}")]
    Withheld(Withheld),
    /// Something else is at fault, or may be.
    #[error("{cause}: {withheld}")]
    Excused { cause: Trouble, withheld: Withheld },
    #[error("cannot read the endpoints of proxy {proxy} after {limit:?}")]
    Unanswered {
        proxy: String,
        limit: Duration,
        source: AskError,
    },
    /// istiod does not have them, and was not notified of them, or could not be queried.
    #[error("{withheld}; the API server's EndpointSlices list {reported:?} {}", unasked.as_ref().map(|error| chain(error)).unwrap_or_default())]
    Untold {
        withheld: Withheld,
        reported: Addresses,
        unasked: Option<HttpError>,
    },
    /// istiod does not have them, and the EndpointSlices could not be listed.
    #[error("{withheld}; {}", chain(unlisted))]
    Unlisted {
        withheld: Withheld,
        unlisted: ObjectError,
    },
}

impl Classified for EndpointsError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Excused { cause, .. } => cause.class,
            Self::Unlisted { unlisted, .. } => unlisted.class(),
            Self::Withheld(_) | Self::Unanswered { .. } | Self::Untold { .. } => ErrorClass::Mesh,
        }
    }
}

/// Endpoints that a component of the mesh was notified of but lacks, or still has although they
/// are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withheld {
    /// `istiod`, or `proxy POD`.
    pub who: String,
    /// A Service or a cluster.
    pub what: String,
    pub expected: Addresses,
    pub seen: Addresses,
    pub limit: Duration,
}

impl Withheld {
    /// The expected state, as text.
    pub fn expected(&self) -> String {
        let required = list(self.expected.iter());
        format!("{} has the endpoints {required} of {}", self.who, self.what)
    }

    /// The actual state, as text.
    pub fn actual(&self) -> String {
        let parts = [
            ("missing", self.expected.difference(&self.seen)),
            ("extra", self.seen.difference(&self.expected)),
        ];
        let texts = parts.map(|(word, addresses)| match list(addresses) {
            none if none.is_empty() => none,
            some => format!("{word} {some}"),
        });
        let texts: Vec<String> = texts.into_iter().filter(|text| !text.is_empty()).collect();
        format!("{} after {:?}", texts.join(", "), self.limit)
    }
}

fn list<'a>(addresses: impl Iterator<Item = &'a String>) -> String {
    addresses.map(String::as_str).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "expected: {}; actual: {}",
            self.expected(),
            self.actual()
        )
    }
}

/// Envoy collects changes of endpoint health and passes them to its workers at the end of this
/// window, unless membership changed (`common_lb_config.update_merge_window`, default 1 s). Istio
/// first announces a new pod as unhealthy (`PILOT_AUTO_SEND_UNHEALTHY_ENDPOINTS`), so its
/// becoming ready is such a change.
const MERGE_WINDOW: Duration = Duration::from_secs(1);

/// Waits until the proxy has exactly the healthy endpoints that istiod has for it, in every
/// cluster of the namespace's Services. With `settled`, this must hold for Envoy's merge window,
/// so that its workers have them too.
///
/// # Errors
/// The first cluster that differs at the deadline: [`EndpointsError::Withheld`] if both istiod
/// and the proxy answered.
pub async fn await_endpoints(
    istiod: &PodPort,
    proxy: &Plane,
    namespace: &str,
    settled: bool,
) -> Result<(), EndpointsError> {
    let hold = if settled {
        MERGE_WINDOW
    } else {
        Duration::ZERO
    };
    let (limit, steady) = (timeouts().mesh.endpoints, Steady::default());
    // A match within the limit may have to hold for a little longer.
    let waited = wait::until(limit + hold, async |elapsed| {
        let late = lacking(istiod, proxy, namespace, limit).await;
        let stays = steady.seen(late.is_none());
        match late {
            Some(late) if elapsed > limit => Err(late),
            None if stays >= hold => Ok(Look::Met(())),
            late => Ok(Look::Unmet(late)),
        }
    });
    match waited.await {
        Ok(()) => Ok(()),
        Err(WaitError::Failed(late)) => Err(late),
        Err(WaitError::TimedOut(last)) => last.last_seen.map_or(Ok(()), Err),
    }
}

/// The first cluster with missing or extra endpoints. `None` if there is no difference.
async fn lacking(
    istiod: &PodPort,
    proxy: &Plane,
    namespace: &str,
    limit: Duration,
) -> Option<EndpointsError> {
    match both(istiod, proxy, namespace).await {
        Ok((expected, seen)) => {
            let (cluster, expected, seen) = difference(&expected, &seen)?;
            Some(EndpointsError::Withheld(Withheld {
                who: format!("proxy {}", proxy.pod()),
                what: format!("cluster {cluster}"),
                expected,
                seen,
                limit,
            }))
        }
        Err(source) => Some(EndpointsError::Unanswered {
            proxy: proxy.pod().to_owned(),
            limit,
            source,
        }),
    }
}

/// The endpoints that istiod has for the proxy, and those that the proxy has.
async fn both(
    istiod: &PodPort,
    proxy: &Plane,
    namespace: &str,
) -> Result<(Clusters, Clusters), AskError> {
    let path = format!("/debug/edsz?proxyID={}", proxy.id());
    let expected = istiod.json(&path).await?;
    let seen = proxy.endpoints(namespace).await?;
    Ok((clusters(&expected, namespace), seen))
}

fn difference(expected: &Clusters, seen: &Clusters) -> Option<(String, Addresses, Addresses)> {
    expected.iter().find_map(|(cluster, expected)| {
        let have = seen.get(cluster).cloned().unwrap_or_default();
        (have != *expected).then(|| (cluster.clone(), expected.clone(), have))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const NAME: &str = "outbound|50051||greeter.ns.svc.cluster.local";

    /// In Envoy's format.
    fn envoy(name: &str, ips: &[&str]) -> Value {
        let at = |ip: &&str| json!({"endpoint": {"address": {"socket_address": {"address": ip, "port_value": 50051}}}});
        let all: Vec<_> = ips.iter().map(at).collect();
        json!({"endpoint_config": {"cluster_name": name, "endpoints": [{"lb_endpoints": all}]}})
    }

    /// In istiod's format.
    fn istiod(name: &str, ips: &[(&str, &str)]) -> Value {
        let at = |(ip, health): &(&str, &str)| json!({"healthStatus": health, "endpoint": {"address": {"socketAddress": {"address": ip, "portValue": 50051}}}});
        let all: Vec<_> = ips.iter().map(at).collect();
        json!({"clusterName": name, "endpoints": [{"locality": {}, "lbEndpoints": all}]})
    }

    fn compared(expected: Value, seen: Value) -> Option<(String, Addresses, Addresses)> {
        let of = |config: Value| clusters(&json!({"configs": [config]}), "ns");
        difference(&of(expected), &of(seen))
    }

    #[test]
    fn a_proxy_has_what_istiod_has_for_it() {
        let healthy = ("10.0.0.1", "HEALTHY");
        let expected = || istiod(NAME, &[healthy, ("10.0.0.9", "UNHEALTHY")]);
        assert_eq!(compared(expected(), envoy(NAME, &["10.0.0.1"])), None);
        let (cluster, expected, seen) =
            compared(expected(), envoy(NAME, &[])).expect("an endpoint is missing");
        assert_eq!((cluster.as_str(), seen.len()), (NAME, 0));
        assert_eq!(expected, Addresses::from(["10.0.0.1:50051".to_owned()]));
        assert!(
            compared(istiod(NAME, &[]), envoy(NAME, &["10.0.0.1"])).is_some(),
            "an extra endpoint"
        );
        let subset = NAME.replace("||", "|v1|");
        assert!(compared(istiod(&subset, &[healthy]), envoy(NAME, &["10.0.0.1"])).is_some());
    }

    #[test]
    fn what_istiod_leaves_out_and_other_namespaces_do_not_count() {
        assert_eq!(
            compared(json!({}), envoy(NAME, &["10.0.0.1"])),
            None,
            "hidden from the proxy"
        );
        let other = NAME.replace(".ns.", ".other.");
        assert_eq!(
            compared(istiod(&other, &[("10.0.0.1", "HEALTHY")]), envoy(NAME, &[])),
            None
        );
    }

    #[test]
    fn who_withholds_which_endpoint_is_told() {
        let set = |ips: &[&str]| ips.iter().map(|&ip| ip.to_owned()).collect();
        let withheld = Withheld {
            who: "proxy caller-1".to_owned(),
            what: format!("cluster {NAME}"),
            expected: set(&["10.0.0.1:1", "10.0.0.2:1"]),
            seen: set(&["10.0.0.2:1", "10.0.0.3:1"]),
            limit: Duration::from_secs(20),
        };
        assert_eq!(
            withheld.actual(),
            "missing 10.0.0.1:1, extra 10.0.0.3:1 after 20s"
        );
    }
}
