//! What is expected of a proxy's effective configuration, for what a run cannot wait for.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Fields of a part of the configuration: JSON pointers (RFC 6901) with the value that must stand there, as Envoy's configuration dump
/// has it; `null`: must be absent, which in a dump is also how a default looks. An element of a list is named by its number or by its `name`.
pub type Fields = BTreeMap<String, Value>;

/// The configuration of the hop that took each call: of the proxy's access log the route's name, the cluster and the authority say
/// which route, virtual host, … that is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct EffectiveConfig {
    /// Workload whose sidecar (or gateway) took the call, or `gateway`.
    pub at: String,
    /// `envoy.config.route.v3.Route`.
    pub route: Fields,
    /// `envoy.config.route.v3.VirtualHost`.
    pub virtual_host: Fields,
    /// `envoy.config.route.v3.RouteConfiguration`.
    pub route_configuration: Fields,
    /// `envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`.
    pub connection_manager: Fields,
    /// `envoy.config.listener.v3.FilterChain`.
    pub filter_chain: Fields,
    /// `envoy.config.listener.v3.Listener`.
    pub listener: Fields,
    /// `envoy.config.cluster.v3.Cluster`.
    pub cluster: Fields,
}

/// Kinds of parts, in the order in which a call meets them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Listener,
    FilterChain,
    ConnectionManager,
    RouteConfiguration,
    VirtualHost,
    Route,
    Cluster,
}

impl Part {
    /// The word in suite files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::FilterChain => "filter-chain",
            Self::ConnectionManager => "connection-manager",
            Self::RouteConfiguration => "route-configuration",
            Self::VirtualHost => "virtual-host",
            Self::Route => "route",
            Self::Cluster => "cluster",
        }
    }
}

impl EffectiveConfig {
    /// Every part with the fields that are wanted of it.
    pub fn parts(&self) -> [(Part, &Fields); 7] {
        [
            (Part::Listener, &self.listener),
            (Part::FilterChain, &self.filter_chain),
            (Part::ConnectionManager, &self.connection_manager),
            (Part::RouteConfiguration, &self.route_configuration),
            (Part::VirtualHost, &self.virtual_host),
            (Part::Route, &self.route),
            (Part::Cluster, &self.cluster),
        ]
    }

    /// The texts among the values, to replace their placeholders.
    pub fn texts(&mut self) -> impl Iterator<Item = &mut String> {
        let parts = [
            &mut self.listener,
            &mut self.filter_chain,
            &mut self.connection_manager,
            &mut self.route_configuration,
            &mut self.virtual_host,
            &mut self.route,
            &mut self.cluster,
        ];
        let values = parts.into_iter().flat_map(BTreeMap::values_mut);
        values.filter_map(|value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })
    }
}
