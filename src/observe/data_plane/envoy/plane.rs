//! A sidecar or a gateway as a data plane.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use http::Method;
use serde_json::Value;

use super::{admin, certificates, config, endpoints, marks};
use crate::{
    observe::data_plane::{
        hop::{Hop, Taken},
        log::{self, AccessLogEntry},
        spec::{Ability, AskError, Build, Clusters, DataPlane, Mark, Plane, Served},
    },
    transport::{PodDialer, http::PodPort},
};

/// Envoy's admin port in an Istio proxy, on the pod's loopback.
const ADMIN_PORT: u16 = 15000;
/// Tracers send spans in batches, every five seconds or at a number of spans (Envoy's runtime
/// keys of the OpenTelemetry and Zipkin tracers). With these values each span is sent
/// immediately.
const AT_ONCE: &str =
    "/runtime_modify?tracing.opentelemetry.min_flush_spans=1&tracing.zipkin.min_flush_spans=1";

/// One Envoy.
#[derive(Debug, Clone)]
pub struct Envoy {
    admin: PodPort,
    revision: String,
    gateway: bool,
}

impl Envoy {
    /// The proxy of a pod, configured by the control plane of a revision.
    pub fn of(
        dial: &PodDialer,
        (namespace, pod): (&str, &str),
        revision: &str,
        gateway: bool,
    ) -> Plane {
        let admin = PodPort {
            dial: dial.clone(),
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            port: ADMIN_PORT,
        };
        Arc::new(Self {
            admin,
            revision: revision.to_owned(),
            gateway,
        })
    }
}

/// Port and paths that show whether a pod's proxy runs, and for how long it has been running.
pub fn is_alive() -> (u16, &'static str, &'static str) {
    (ADMIN_PORT, "/ready", "/server_info")
}

#[async_trait]
impl DataPlane for Envoy {
    fn kind(&self) -> &'static str {
        "the proxy"
    }

    fn abilities(&self) -> &'static [Ability] {
        &[
            Ability::Marks,
            Ability::Endpoints,
            Ability::Certificates,
            Ability::Rejections,
            Ability::Hops,
            Ability::AccessLog,
            Ability::Counters,
            Ability::Spans,
            Ability::Build,
        ]
    }

    fn port(&self) -> &PodPort {
        &self.admin
    }

    fn revision(&self) -> &str {
        &self.revision
    }

    fn is_gateway(&self) -> bool {
        self.gateway
    }

    async fn marked(&self, mark: &Mark) -> Result<Option<u64>, AskError> {
        let tables = match self.gateway {
            true => "http.*",
            false => mark.tables,
        };
        let dump = admin::routes(&self.admin, tables).await?;
        Ok(marks::newest(&dump, &mark.prefix))
    }

    async fn unfinished(&self, namespace: &str) -> Result<Option<String>, AskError> {
        Ok(marks::unfinished(&self.admin, namespace).await?)
    }

    async fn rejections(&self) -> Result<u64, AskError> {
        Ok(admin::rejections(&self.admin).await?)
    }

    async fn rejected(&self) -> Result<Option<String>, AskError> {
        Ok(admin::rejected(&self.admin).await?)
    }

    async fn endpoints(&self, namespace: &str) -> Result<Clusters, AskError> {
        let dump = admin::endpoint_configs(&self.admin, namespace).await?;
        Ok(endpoints::clusters(&dump, namespace))
    }

    async fn late_certificate(&self, current: &[Served]) -> Result<Option<String>, AskError> {
        Ok(certificates::late(&self.admin, current).await?)
    }

    async fn add_hop(&self, taken: &Taken, hop: &mut Hop) -> Result<(), AskError> {
        let dump = admin::around(&self.admin, self.gateway, taken).await?;
        config::find(&dump, taken, hop);
        Ok(())
    }

    /// It is configured not to add Envoy's headers, or to remove the relevant one
    /// (`suppress_envoy_headers` of the router filter, `response_headers_to_remove` of a route).
    async fn hides(&self) -> Result<bool, AskError> {
        for kind in ["dynamic_listeners", "dynamic_route_configs"] {
            let dump = admin::dump(&self.admin, kind).await?;
            let hides = dump.contains("\"suppress_envoy_headers\": true")
                || dump.contains("x-envoy-upstream-service-time");
            if hides {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn configuration(&self) -> Result<Value, AskError> {
        Ok(admin::whole(&self.admin).await?)
    }

    async fn flush_log(&self) {
        let _ = self.admin.fetch(Method::POST, "/reopen_logs").await;
    }

    async fn log_interval(&self) -> Result<Duration, AskError> {
        Ok(admin::flush_interval(&self.admin).await?)
    }

    fn rows(&self, log: &str) -> Vec<AccessLogEntry> {
        log::rows(log)
    }

    async fn counters(&self) -> Result<Vec<(String, u64)>, AskError> {
        Ok(admin::counters(&self.admin).await?)
    }

    async fn counter(&self, pattern: &str) -> Result<u64, AskError> {
        Ok(admin::stat(&self.admin, pattern).await?)
    }

    async fn send_spans_at_once(&self) -> Result<(), AskError> {
        self.admin.fetch(Method::POST, AT_ONCE).await?;
        Ok(())
    }

    async fn build(&self) -> Result<Build, AskError> {
        let info = self.admin.json("/server_info").await?;
        let all = info.pointer("/node/extensions").and_then(Value::as_array);
        let names = all.into_iter().flatten();
        let names = names.filter_map(|extension| extension["name"].as_str());
        Ok(Build {
            version: version(info["version"].as_str().unwrap_or_default()),
            extensions: names.map(str::to_owned).collect(),
        })
    }
}

/// Envoy reports `REVISION/VERSION/STATUS/TYPE/TLS`.
fn version(answer: &str) -> String {
    answer.split('/').nth(1).unwrap_or(answer).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envoys_words_become_a_version() {
        assert_eq!(version("9dc4/1.39.3/Clean/RELEASE/BoringSSL"), "1.39.3");
        assert_eq!(version(""), "");
    }
}
