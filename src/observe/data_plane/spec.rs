//! The questions to a data plane: to one proxy, or to one program that is its own. What is above
//! asks these and knows neither ports nor forms of an answer.

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

/// What a data plane can be asked; not every one has all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ability {
    /// It shows the name of a route that it has ([`DataPlane::marked`]).
    Marks,
    /// It tells what it holds, to be compared with what it was sent ([`DataPlane::lag`]).
    Contents,
    /// Endpoints with their health.
    Endpoints,
    /// Certificates that it serves.
    Certificates,
    /// Rejected updates.
    Rejections,
    /// Which configuration took a call.
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

/// Why a data plane gave no answer.
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

/// A name that shows from which push on a data plane has its configuration: a route whose name is a
/// prefix and a number that grows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Regular expression for the route configurations that hold it in a sidecar; a gateway has it
    /// among those of its ports.
    pub tables: &'static str,
    pub prefix: String,
}

/// Why a data plane does not hold what it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lag {
    Late(String),
    Refused(String),
}

/// What a data plane holds, to be compared with what a control plane has for it.
pub trait Compare: fmt::Debug + Send + Sync {
    /// Why the two differ; `None`: they do not. `sent` as the control plane tells it, which has to
    /// be of push number `pushed` or a later one.
    fn lag(&self, sent: &Value, pushed: u64) -> Option<Lag>;
}

/// See [`Compare`].
pub type Contents = Box<dyn Compare>;

/// A certificate chain that a gateway is to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    pub serial: String,
    pub secret: String,
    /// The chain as the Secret holds it.
    pub pem: String,
}

/// Addresses of endpoints.
pub type Addresses = BTreeSet<String>;
/// Healthy endpoints by cluster.
pub type Clusters = BTreeMap<String, Addresses>;

/// What a data plane was built as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Build {
    pub version: String,
    /// Names of its extensions.
    pub extensions: Vec<String>,
}

/// One data plane: a proxy, or a program that speaks xDS by itself.
///
/// # Errors
/// Every question: [`AskError::Http`] where it does not answer, [`AskError::Unable`] where its kind
/// has nothing of the sort.
#[async_trait]
pub trait DataPlane: fmt::Debug + Send + Sync {
    /// Its kind, for messages.
    fn kind(&self) -> &'static str;
    fn abilities(&self) -> &'static [Ability];
    /// Where it is asked: the pod's name and namespace are the data plane's own.
    fn port(&self) -> &PodPort;

    /// Revision of the control plane that it belongs to.
    fn revision(&self) -> &str;

    /// A gateway: it stands alone, not beside a workload.
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

    /// For questions that this kind cannot answer.
    fn unable(&self, ability: Ability) -> AskError {
        AskError::Unable {
            plane: self.kind(),
            pod: self.pod().to_owned(),
            ability,
        }
    }

    /// The newest number that it shows of a mark.
    async fn marked(&self, mark: &Mark) -> Result<Option<u64>, AskError> {
        let _ = mark;
        Err(self.unable(Ability::Marks))
    }

    /// What it has taken of a namespace's configuration and cannot use yet, in words.
    async fn unfinished(&self, namespace: &str) -> Result<Option<String>, AskError> {
        let _ = namespace;
        Err(self.unable(Ability::Marks))
    }

    /// What it holds; `None`: it has asked for nothing yet, and so lags behind nothing.
    async fn contents(&self) -> Result<Option<Contents>, AskError> {
        Err(self.unable(Ability::Contents))
    }

    /// How many updates it has rejected since it started.
    async fn rejections(&self) -> Result<u64, AskError> {
        Err(self.unable(Ability::Rejections))
    }

    /// The first rejected update that it tells of, in its own words.
    async fn rejected(&self) -> Result<Option<String>, AskError> {
        Err(self.unable(Ability::Rejections))
    }

    /// Healthy endpoints in the clusters of a namespace's Services.
    async fn endpoints(&self, namespace: &str) -> Result<Clusters, AskError> {
        let _ = namespace;
        Err(self.unable(Ability::Endpoints))
    }

    /// The first certificate that it uses and does not serve in its present state, or what else
    /// keeps it from serving; in words.
    async fn late_certificate(&self, current: &[Served]) -> Result<Option<String>, AskError> {
        let _ = current;
        Err(self.unable(Ability::Certificates))
    }

    /// Adds the parts of its configuration that took a call.
    async fn add_hop(&self, taken: &Taken, hop: &mut Hop) -> Result<(), AskError> {
        let _ = (taken, hop);
        Err(self.unable(Ability::Hops))
    }

    /// It does not tell clients of itself, so that its answers look like the application's.
    async fn hides(&self) -> Result<bool, AskError> {
        Err(self.unable(Ability::Hops))
    }

    /// Its whole configuration, in its own form.
    async fn configuration(&self) -> Result<Value, AskError> {
        Err(self.unable(Ability::Hops))
    }

    /// Lets it write at once what it has to log. What keeps it from that is seen in the log.
    async fn flush_log(&self) {}

    /// How often it writes its log by itself, at the least.
    async fn log_interval(&self) -> Result<Duration, AskError> {
        Err(self.unable(Ability::AccessLog))
    }

    /// Lines of calls in its log.
    fn rows(&self, log: &str) -> Vec<AccessLogEntry> {
        let _ = log;
        Vec::new()
    }

    /// Every counter and gauge with its value.
    async fn counters(&self) -> Result<Vec<(String, u64)>, AskError> {
        Err(self.unable(Ability::Counters))
    }

    /// Counters whose name matches a regular expression, added up.
    async fn counter(&self, pattern: &str) -> Result<u64, AskError> {
        let _ = pattern;
        Err(self.unable(Ability::Counters))
    }

    /// From now on each span is sent at once.
    async fn send_spans_at_once(&self) -> Result<(), AskError> {
        Err(self.unable(Ability::Spans))
    }

    async fn build(&self) -> Result<Build, AskError> {
        Err(self.unable(Ability::Build))
    }
}
