//! The hop that handled a call, and its configuration.

use std::collections::BTreeMap;

use serde_json::Value;

/// What the access log reports about a call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Taken {
    pub cluster: String,
    pub route: String,
    pub authority: String,
}

impl Taken {
    /// From a line of the access log. `None` if the call was not routed to a cluster.
    pub fn of(line: &BTreeMap<String, String>) -> Option<Self> {
        let field = |key: &str| line.get(key).cloned().filter(|text| text != "-");
        Some(Self {
            cluster: field("upstream_cluster").filter(|name| !name.is_empty())?,
            route: field("route_name").unwrap_or_default(),
            authority: field("authority").unwrap_or_default(),
        })
    }
}

/// Kinds of configuration, in the order in which a call passes them.
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
    /// The name in suite files.
    pub fn as_str(self) -> &'static str {
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

/// Parts of a configuration by kind, with several candidates where the dump leaves it open.
pub type Hop = BTreeMap<Part, Vec<Value>>;

/// The value at a JSON pointer. List elements are addressed by index or by their `name`.
pub fn at<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    pointer.split('/').skip(1).try_fold(value, |value, token| {
        let token = token.replace("~1", "/").replace("~0", "~");
        match value {
            Value::Object(fields) => fields.get(&token),
            Value::Array(items) => match token.parse::<usize>() {
                Ok(number) => items.get(number),
                Err(_) => items.iter().find(|item| item["name"] == token.as_str()),
            },
            _ => None,
        }
    })
}
