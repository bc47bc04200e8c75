//! What proxies logged about calls: flags and details from their access logs, by call id.
//!
//! A flag is one of Envoy's response flags; a detail says how the response was produced (Envoy
//! documentation, "Access logging", `%RESPONSE_FLAGS%`, and "HTTP response code details").
//! `via_upstream` and a cluster of the proxy's own pod add no information.

use std::collections::BTreeMap;

use testbed::control::Observation;

use super::tally::short;

/// Maximum length of a detail in messages, in characters.
const LONGEST: usize = 160;
/// Detail of a response that the proxy received from its upstream.
pub(super) const PASSED_ON: &str = "via_upstream";
/// The position of a proxy between caller and server, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hop {
    /// The caller's own proxy.
    OutboundProxy,
    Gateway,
    /// The server's own proxy.
    InboundProxy,
}

impl Hop {
    /// The name in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OutboundProxy => "outbound-proxy",
            Self::Gateway => "gateway",
            Self::InboundProxy => "inbound-proxy",
        }
    }
}

/// What one proxy logged about one request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    pub hop: Hop,
    /// `-` or empty: no flag.
    pub flags: String,
    pub details: String,
    /// The cluster that the proxy selected.
    pub cluster: String,
}

impl Line {
    /// Whether the response came from this proxy's upstream, so that a later hop may have logged
    /// it.
    pub fn passed_on(&self) -> bool {
        self.details == PASSED_ON
    }

    /// Describes the line; `None` if it says only that the request was passed on.
    fn describe(&self) -> Option<String> {
        let telling = |text: &&str| !["", "-", PASSED_ON].contains(text);
        let details = short(&self.details, LONGEST);
        let args = [self.flags.as_str(), details.as_str()];
        let mut args: Vec<&str> = args.into_iter().filter(telling).collect();
        let to = format!("to {}", self.cluster);
        if !self.cluster.is_empty() && !self.cluster.starts_with("inbound") {
            args.push(&to);
        }
        (!args.is_empty()).then(|| format!("{}: {}", self.hop.as_str(), args.join(" ")))
    }
}

/// The lines of all proxies between caller and server, by call id.
pub type Logged = BTreeMap<String, Vec<Line>>;

/// Why a call ended as it did, starting at the caller's side; `None` if no proxy logged a reason.
pub fn reason(logged: &Logged, call: &Observation) -> Option<String> {
    let mut lines: Vec<&Line> = logged.get(&call.call)?.iter().collect();
    lines.sort_by_key(|line| line.hop);
    let mut parts: Vec<String> = lines.iter().filter_map(|line| line.describe()).collect();
    // Attempts with the same outcome are listed once.
    parts.dedup();
    (!parts.is_empty()).then(|| parts.join(", "))
}
