//! What proxies logged of calls: flags and details of their access logs, found by call id.
//!
//! A flag is one of Envoy's response flags, a detail says how the answer came about (Envoy
//! documentation, "Access logging", `%RESPONSE_FLAGS%`, and "HTTP response code details").
//! `via_upstream` and a cluster of the proxy's own pod say nothing that is not known from
//! elsewhere.

use std::collections::BTreeMap;

use testbed::control::Observation;

use super::tally::short;

/// Longest detail that is told, in characters.
const LONGEST: usize = 160;
/// Detail of an answer that came from behind the proxy.
pub(super) const PASSED_ON: &str = "via_upstream";
/// Where on the way a proxy stands, in the order of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hop {
    /// The caller's own.
    OutboundProxy,
    Gateway,
    /// The server's own.
    InboundProxy,
}

impl Hop {
    /// For messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OutboundProxy => "outbound-proxy",
            Self::Gateway => "gateway",
            Self::InboundProxy => "inbound-proxy",
        }
    }
}

/// What one proxy logged of one request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    pub hop: Hop,
    /// `-` and nothing are the same: no flag.
    pub flags: String,
    pub details: String,
    /// Cluster that the proxy chose.
    pub cluster: String,
}

impl Line {
    /// The answer came from behind this proxy: somebody there logged it too.
    pub fn passed_on(&self) -> bool {
        self.details == PASSED_ON
    }

    /// What it tells; `None`: nothing but that the request went through.
    fn describe(&self) -> Option<String> {
        let telling = |text: &&str| !["", "-", PASSED_ON].contains(text);
        let details = short(&self.details, LONGEST);
        let words = [self.flags.as_str(), details.as_str()];
        let mut words: Vec<&str> = words.into_iter().filter(telling).collect();
        let to = format!("to {}", self.cluster);
        if !self.cluster.is_empty() && !self.cluster.starts_with("inbound") {
            words.push(&to);
        }
        (!words.is_empty()).then(|| format!("{}: {}", self.hop.as_str(), words.join(" ")))
    }
}

/// Lines of all proxies on the way, by call id.
pub type Logged = BTreeMap<String, Vec<Line>>;

/// Why a call ended as it did, from the caller's side on; `None`: no proxy says anything of it.
pub fn reason(logged: &Logged, call: &Observation) -> Option<String> {
    let mut lines: Vec<&Line> = logged.get(&call.call)?.iter().collect();
    lines.sort_by_key(|line| line.hop);
    let mut words: Vec<String> = lines.iter().filter_map(|line| line.describe()).collect();
    // Attempts that ended alike are told once.
    words.dedup();
    (!words.is_empty()).then(|| words.join(", "))
}
