//! The interface to a data plane: one proxy, or one program that is its own data plane. Code
//! above it knows neither ports nor response formats.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use serde_json::Value;

use super::{
    hop::{Hop, Taken},
    log::AccessLogEntry,
};
use crate::{
    errors::{Classified, ErrorClass},
    transport::http::{HttpError, PodPort},
};

/// A data plane of one pod.
pub type Plane = Arc<dyn DataPlane>;

/// What can be read from a data plane. Not every kind supports everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ability {
    /// It shows the names of its routes ([`DataPlane::marked`]).
    Marks,
    /// It reports its resources, to be compared with what it was sent ([`Compare::lag`]).
    Contents,
    /// Endpoints with their health.
    Endpoints,
    /// Certificates that it serves.
    Certificates,
    /// Rejected updates.
    Rejections,
    /// Which configuration handled a call.
    Hops,
    AccessLog,
    Counters,
    Spans,
    /// Its version, and the extensions that it was built with.
    Build,
}

impl Ability {
    /// For messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Marks => "routes that can be read by name",
            Self::Contents => "contents that can be compared",
            Self::Endpoints => "endpoints that can be read",
            Self::Certificates => "certificates that can be read",
            Self::Rejections => "a count of rejected updates",
            Self::Hops => "configuration that can be read",
            Self::AccessLog => "an access log",
            Self::Counters => "counters",
            Self::Spans => "spans of its own",
            Self::Build => "a version that can be read",
        }
    }
}

/// An error reading from a data plane.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("{plane} of pod {pod} has no {}", ability.as_str())]
    Unable {
        plane: &'static str,
        pod: String,
        ability: Ability,
    },
}

impl Classified for AskError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Http(_) => ErrorClass::Mesh,
            Self::Unable { .. } => ErrorClass::Input,
        }
    }
}

/// A name that shows which push a data plane's configuration is from: a route whose name is a
/// prefix and an increasing number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Regular expression for the route configurations that contain it in a sidecar. A gateway
    /// has it among those of its ports.
    pub tables: &'static str,
    pub prefix: String,
}

/// Why a data plane does not have what it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lag {
    Late(String),
    Refused(String),
}

/// A data plane's resources, to be compared with what a control plane has for it.
pub trait Compare: fmt::Debug + Send + Sync {
    /// Why the two differ. `None` if they do not. `sent` is the control plane's report, which
    /// must be of push number `pushed` or a later one.
    fn lag(&self, sent: &Value, pushed: u64) -> Option<Lag>;
}

/// A data plane's resources, for comparison.
pub type Contents = Box<dyn Compare>;

/// A certificate chain that a gateway must serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    pub serial: String,
    pub secret: String,
    /// The chain in the Secret.
    pub pem: String,
}

/// Addresses of endpoints.
pub type Addresses = BTreeSet<String>;
/// Healthy endpoints by cluster.
pub type Clusters = BTreeMap<String, Addresses>;

/// A data plane's build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Build {
    pub version: String,
    /// Names of its extensions.
    pub extensions: Vec<String>,
}

/// One data plane: a proxy, or a program that speaks xDS by itself.
///
/// # Errors
/// Every method: [`AskError::Http`] if it does not answer, [`AskError::Unable`] if its kind does
/// not support this.
#[async_trait]
pub trait DataPlane: fmt::Debug + Send + Sync {
    /// Its kind, for messages.
    fn kind(&self) -> &'static str;
    fn abilities(&self) -> &'static [Ability];
    /// The port that it is queried on. The pod's name and namespace are the data plane's own.
    fn port(&self) -> &PodPort;

    /// Revision of the control plane that it belongs to.
    fn revision(&self) -> &str;

    /// Whether it is a gateway, not next to a workload.
    fn is_gateway(&self) -> bool {
        false
    }

    fn pod(&self) -> &str {
        &self.port().pod
    }

    fn namespace(&self) -> &str {
        &self.port().namespace
    }

    /// `POD.NAMESPACE`, as control planes write it.
    fn id(&self) -> String {
        format!("{}.{}", self.pod(), self.namespace())
    }

    fn can(&self, ability: Ability) -> bool {
        self.abilities().contains(&ability)
    }

    /// The error of methods that this kind does not support.
    fn unable(&self, ability: Ability) -> AskError {
        AskError::Unable {
            plane: self.kind(),
            pod: self.pod().to_owned(),
            ability,
        }
    }

    /// The highest number that it shows for a mark.
    async fn marked(&self, mark: &Mark) -> Result<Option<u64>, AskError> {
        let _ = mark;
        Err(self.unable(Ability::Marks))
    }

    /// The configuration of a namespace that it has received but cannot use yet, as text.
    async fn unfinished(&self, namespace: &str) -> Result<Option<String>, AskError> {
        let _ = namespace;
        Err(self.unable(Ability::Marks))
    }

    /// Its resources. `None` if it has not requested any yet, and so lags behind nothing.
    async fn contents(&self) -> Result<Option<Contents>, AskError> {
        Err(self.unable(Ability::Contents))
    }

    /// How many updates it has rejected since it started.
    async fn rejections(&self) -> Result<u64, AskError> {
        Err(self.unable(Ability::Rejections))
    }

    /// The first rejected update that it reports, with its own message.
    async fn rejected(&self) -> Result<Option<String>, AskError> {
        Err(self.unable(Ability::Rejections))
    }

    /// Healthy endpoints in the clusters of a namespace's Services.
    async fn endpoints(&self, namespace: &str) -> Result<Clusters, AskError> {
        let _ = namespace;
        Err(self.unable(Ability::Endpoints))
    }

    /// The first certificate in use whose current version it does not serve, or what else keeps
    /// it from serving, as text.
    async fn late_certificate(&self, current: &[Served]) -> Result<Option<String>, AskError> {
        let _ = current;
        Err(self.unable(Ability::Certificates))
    }

    /// Adds the parts of its configuration that handled a call.
    async fn add_hop(&self, taken: &Taken, hop: &mut Hop) -> Result<(), AskError> {
        let _ = (taken, hop);
        Err(self.unable(Ability::Hops))
    }

    /// Whether it hides itself from clients, so that its responses look like the application's.
    async fn hides(&self) -> Result<bool, AskError> {
        Err(self.unable(Ability::Hops))
    }

    /// Its whole configuration, in its own format.
    async fn configuration(&self) -> Result<Value, AskError> {
        Err(self.unable(Ability::Hops))
    }

    /// Makes it flush its access log now. A failure shows as a missing log line.
    async fn flush_log(&self) {}

    /// The longest interval at which it flushes its log by itself.
    async fn log_interval(&self) -> Result<Duration, AskError> {
        Err(self.unable(Ability::AccessLog))
    }

    /// The entries of calls in its log.
    fn rows(&self, log: &str) -> Vec<AccessLogEntry> {
        let _ = log;
        Vec::new()
    }

    /// Every counter and gauge with its value.
    async fn counters(&self) -> Result<Vec<(String, u64)>, AskError> {
        Err(self.unable(Ability::Counters))
    }

    /// The sum of the counters whose name matches a regular expression.
    async fn counter(&self, pattern: &str) -> Result<u64, AskError> {
        let _ = pattern;
        Err(self.unable(Ability::Counters))
    }

    /// Makes it send each span immediately from now on.
    async fn send_spans_at_once(&self) -> Result<(), AskError> {
        Err(self.unable(Ability::Spans))
    }

    async fn build(&self) -> Result<Build, AskError> {
        Err(self.unable(Ability::Build))
    }
}
