//! Capabilities of a running Istio (`needs:` of scenarios). They are detected, not assumed: from
//! its settings and from its proxy's own list of extensions.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use serde_json::Value;

use super::{
    install::NAMESPACE,
    propagation::{gateway_api, marker::COLLECTOR},
};
use crate::{
    cluster::object::{self, ObjectError},
    errors::{Classified, ErrorClass},
    observe::data_plane::{AskError, Plane, log::CALL},
};

/// Capabilities of every Istio with sidecars.
const ALWAYS: &[&str] = &[
    "istio",
    "envoy",
    "sidecar",
    "weighted-backends",
    "envoy-filter",
    "proxy-admin",
    "mirror",
    "fault-injection",
    "mtls",
    "rolling-restart",
    "scale",
    "retry-budget",
    "jwt",
];

/// Extensions that Istio compiles into its own proxy, each by a part of its name, with the
/// capability that needs it and the text that reports show if it is missing.
const EXTENSIONS: &[(&str, &str, &str)] = &[
    ("istio_stats", "telemetry", "Istio's telemetry filters"),
    ("istio.alpn", "alpn-filter", "Istio's ALPN filter"),
    (
        "metadata_exchange",
        "metadata-exchange",
        "peer metadata exchange",
    ),
];

/// The capabilities of a mesh.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// The names used in `needs:`.
    pub capabilities: BTreeSet<String>,
    /// Missing capabilities, for the report.
    pub lacks: Vec<String>,
}

/// An error detecting capabilities.
#[derive(Debug, thiserror::Error)]
pub enum CapabilitiesError {
    /// The client's message already includes its causes.
    #[error("ConfigMap {name}: {error}")]
    ConfigMap {
        name: String,
        error: Box<kube::Error>,
    },
    #[error(transparent)]
    Proxy(#[from] AskError),
    #[error(transparent)]
    Gateway(#[from] ObjectError),
}

impl Classified for CapabilitiesError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::ConfigMap { error, .. } => error.class(),
            Self::Proxy(error) => error.class(),
            Self::Gateway(error) => error.class(),
        }
    }
}

/// The settings that were read from a mesh.
#[derive(Debug, Default)]
struct Facts {
    /// `mesh` of the ConfigMap `istio`: the mesh-wide configuration as YAML.
    mesh: String,
    /// `config` of the ConfigMap `istio-sidecar-injector`: the templates.
    templates: String,
    /// Names of the extensions that the gateway's proxy registered.
    extensions: Vec<String>,
    gateway: bool,
    /// Whether the shared Gateway of Gateway API exists.
    gateway_api: bool,
}

/// Detects the capabilities of a running mesh.
///
/// # Errors
/// [`CapabilitiesError`]: its settings cannot be read.
pub async fn offer(client: &Client, gateways: &[Plane]) -> Result<Capabilities, CapabilitiesError> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let read = async |name: &str, key: &str| -> Result<String, CapabilitiesError> {
        let map = maps.get_opt(name).await;
        let map = map.map_err(|error| CapabilitiesError::ConfigMap {
            name: name.to_owned(),
            error: Box::new(error),
        })?;
        let data = map.and_then(|map| map.data).unwrap_or_default();
        Ok(data.get(key).cloned().unwrap_or_default())
    };
    let gateway = format!("{}/v1", gateway_api::GROUP);
    let shared = object::get(
        client,
        &gateway,
        "Gateway",
        Some(NAMESPACE),
        gateway_api::SHARED,
    );
    let facts = Facts {
        mesh: read("istio", "mesh").await?,
        templates: read("istio-sidecar-injector", "config").await?,
        extensions: match gateways.first() {
            Some(gateway) => gateway.build().await?.extensions,
            None => Vec::new(),
        },
        gateway: !gateways.is_empty(),
        gateway_api: shared.await?.is_some(),
    };
    Ok(conclude(&facts))
}

fn conclude(facts: &Facts) -> Capabilities {
    let mesh: Value = serde_yaml::from_str(&facts.mesh).unwrap_or_default();
    let mut offer = Capabilities {
        capabilities: ALWAYS.iter().map(|&word| word.to_owned()).collect(),
        lacks: Vec::new(),
    };
    let mut add = |word: &str, there: bool, lack: &str| {
        if there {
            offer.capabilities.insert(word.to_owned());
        } else if !lack.is_empty() {
            offer.lacks.push(lack.to_owned());
        }
    };
    add("gateway", facts.gateway, "an ingress gateway");
    add(
        "gateway-api",
        facts.gateway_api && facts.gateway,
        "Gateway API with a Gateway for the ingress gateway",
    );
    add(
        "proxyless",
        facts.templates.contains("grpc-agent"),
        "the injection template for proxyless gRPC",
    );
    add(
        "access-log",
        facts.mesh.contains(CALL),
        "an access log with call ids",
    );
    add(
        "tracing",
        facts.mesh.contains(COLLECTOR),
        "tracing providers that send spans to a scenario's own collector",
    );
    // A filter that is compiled in is unused if the installation has metrics switched off.
    let metrics = mesh
        .pointer("/defaultProviders/metrics")
        .and_then(Value::as_array)
        .is_some_and(|all| !all.is_empty());
    for (part, word, lack) in EXTENSIONS {
        let there = facts.extensions.iter().any(|name| name.contains(part));
        add(word, there && (*word != "telemetry" || metrics), lack);
    }
    offer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own_proxy() -> Vec<String> {
        [
            "envoy.filters.http.istio_stats",
            "istio.alpn",
            "envoy.filters.network.metadata_exchange",
        ]
        .map(str::to_owned)
        .into()
    }

    #[test]
    fn a_mesh_of_ours_with_a_stock_proxy_lacks_only_what_istio_compiles_in() {
        let facts = Facts {
            mesh: format!(
                "accessLogFormat: '{{\"{CALL}\": 1}}'\nextensionProviders: [{{service: {COLLECTOR}}}]"
            ),
            templates: "templates: {grpc-agent: x}".into(),
            extensions: vec!["envoy.filters.http.router".into()],
            gateway: true,
            gateway_api: true,
        };
        let offer = conclude(&facts);
        assert_eq!(offer.lacks.len(), 3, "{:?}", offer.lacks);
        for word in [
            "gateway",
            "gateway-api",
            "proxyless",
            "access-log",
            "tracing",
            "mtls",
        ] {
            assert!(offer.capabilities.contains(word), "{word}");
        }
    }

    #[rstest::rstest]
    #[case::on("defaultProviders: {metrics: [prometheus]}", own_proxy(), true)]
    #[case::switched_off("defaultProviders: {}", own_proxy(), false)]
    #[case::stock_proxy("defaultProviders: {metrics: [prometheus]}", Vec::new(), false)]
    fn metrics_need_the_filter_and_the_provider(
        #[case] mesh: &str,
        #[case] extensions: Vec<String>,
        #[case] there: bool,
    ) {
        let facts = Facts {
            mesh: mesh.into(),
            extensions,
            ..Facts::default()
        };
        assert_eq!(conclude(&facts).capabilities.contains("telemetry"), there);
    }

    #[test]
    fn every_word_that_a_scenario_may_ask_a_mesh_for_is_one_that_a_mesh_can_offer() {
        let facts = Facts {
            mesh: format!("x: {CALL} {COLLECTOR}\ndefaultProviders: {{metrics: [prometheus]}}"),
            templates: "grpc-agent".into(),
            extensions: own_proxy(),
            gateway: true,
            gateway_api: true,
        };
        let message = crate::scenario::requirements::OF_THE_MESH.map(|(word, _)| word.to_owned());
        assert_eq!(conclude(&facts).capabilities, BTreeSet::from(message));
    }

    #[test]
    fn somebody_elses_mesh_is_not_asked_for_our_log_or_collector() {
        let offer = conclude(&Facts::default());
        for word in [
            "gateway",
            "gateway-api",
            "proxyless",
            "access-log",
            "tracing",
            "telemetry",
        ] {
            assert!(!offer.capabilities.contains(word), "{word}");
        }
        assert!(offer.capabilities.contains("sidecar"));
    }
}
