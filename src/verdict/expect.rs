//! Typed matchers: what an author's [`Expect`] means.

use std::collections::BTreeMap;

use thiserror::Error;

use super::{
    matcher::{
        config, ledger::ServerDeadline, moved::Moved, page::Page, stream::Wanted, telemetry, tls,
    },
    words::{field_words, percent},
};
use crate::scenario::{
    model::{
        Expect, Producer, SpreadPolicy,
        config::EffectiveConfig,
        telemetry::{AccessLog, Counted, Diagnosis, Spans, Trace},
        tls::TlsExpect,
        web::StatusIn,
    },
    range::{self, Counts, Span, ValueError},
    status,
    values::{Fields, binary_fault},
};

/// One matcher with its values parsed.
#[derive(Debug, Clone, PartialEq)]
pub enum Matcher {
    Status(u32),
    Message(String),
    ProducedBy(Producer),
    ReachesAll(String),
    Pinned(bool),
    Spread {
        over: String,
        policy: SpreadPolicy,
    },
    /// Probability by workload; adds up to one.
    Share(BTreeMap<String, f64>),
    StickyBy(String),
    Moved(Moved),
    AnsweredBy(String),
    Attempts(Counts),
    UpstreamProtocol(String),
    Took(Span),
    ServerDeadline(ServerDeadline),
    Response(Fields),
    InitialMetadata(Fields),
    TrailingMetadata(Fields),
    ServerMetadata(Fields),
    /// URI of the caller's certificate, `none` without one.
    PeerIdentity(String),
    Tls(TlsExpect),
    /// Envoy's short flag in the log of the proxy `at`.
    ResponseFlag {
        at: String,
        flag: String,
    },
    HttpStatus(u16),
    StatusIn(StatusIn),
    PageSees(Page),
    Stream {
        requests: Option<Wanted>,
        replies: Option<Wanted>,
    },
    /// RST_STREAM's code; `None`: the client got none.
    Reset(Option<String>),
    ServerEnd(String),
    ServerPings(Counts),
    ServerConnections(Counts),
    Lost(u64),
    AccessLog(AccessLog),
    Counted(Counted),
    Trace(Trace),
    Spans(Spans),
    Diagnosis(Diagnosis),
    /// Share of calls that must not break the others unseen.
    Detects(f64),
    Config(EffectiveConfig),
}

/// All matchers of one probe or cell.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResolvedExpect {
    pub matchers: Vec<Matcher>,
}

/// A value of an expectation that cannot be read.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ExpectError {
    #[error(
        "'{0}' is no gRPC status: write its name in capitals (UNAVAILABLE) or its number (0 to 16)"
    )]
    Status(String),
    #[error("{field}: {error}")]
    Value {
        field: &'static str,
        error: ValueError,
    },
    #[error("{field}: {words}: keys that end in -bin hold bytes")]
    Bytes { field: &'static str, words: String },
    #[error("shares add up to {0:.2} %, not to 100 %")]
    ShareSum(f64),
    #[error("'{0}' is nothing that a page sees: write a gRPC status, blocked, or allowed")]
    Page(String),
    #[error("'{0}' is no end of an attempt: write answered, cancelled or reset")]
    ServerEnd(String),
    #[error("'{0}' is no HTTP version: write HTTP/2.0 or HTTP/1.1")]
    Protocol(String),
    #[error("'{word}' is no reason for a refused handshake: write one of {known}")]
    Refusal { word: String, known: String },
}

impl ExpectError {
    /// The field of `Expect` that is wrong.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::Value { field, .. } | Self::Bytes { field, .. } => field,
            Self::ShareSum(_) => "share",
            Self::Page(_) => "page-sees",
            Self::ServerEnd(_) => "server-end",
            Self::Protocol(_) => "upstream-protocol",
            Self::Refusal { .. } => "tls",
        }
    }
}

/// Every matcher's name, in the order in which they are judged: the fields of `Expect`.
pub const MATCHERS: [&str; 37] = [
    "status",
    "message",
    "produced-by",
    "reaches-all",
    "pinned",
    "spread",
    "share",
    "sticky-by",
    "moved",
    "answered-by",
    "attempts",
    "upstream-protocol",
    "took",
    "server-deadline",
    "response",
    "initial-metadata",
    "trailing-metadata",
    "server-metadata",
    "peer-identity",
    "tls",
    "response-flag",
    "http-status",
    "status-in",
    "page-sees",
    "stream",
    "reset",
    "server-end",
    "server-pings",
    "server-connections",
    "lost",
    "access-log",
    "counted",
    "trace",
    "spans",
    "diagnosis",
    "detects",
    "config",
];

impl Matcher {
    /// Name of the `Expect` field.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::Message(_) => "message",
            Self::ProducedBy(_) => "produced-by",
            Self::ReachesAll(_) => "reaches-all",
            Self::Pinned(_) => "pinned",
            Self::Spread { .. } => "spread",
            Self::Share(_) => "share",
            Self::StickyBy(_) => "sticky-by",
            Self::Moved(_) => "moved",
            Self::AnsweredBy(_) => "answered-by",
            Self::Attempts(_) => "attempts",
            Self::UpstreamProtocol(_) => "upstream-protocol",
            Self::Took(_) => "took",
            Self::ServerDeadline(_) => "server-deadline",
            Self::Response(_) => "response",
            Self::InitialMetadata(_) => "initial-metadata",
            Self::TrailingMetadata(_) => "trailing-metadata",
            Self::ServerMetadata(_) => "server-metadata",
            Self::PeerIdentity(_) => "peer-identity",
            Self::Tls(_) => "tls",
            Self::ResponseFlag { .. } => "response-flag",
            Self::HttpStatus(_) => "http-status",
            Self::StatusIn(_) => "status-in",
            Self::PageSees(_) => "page-sees",
            Self::Stream { .. } => "stream",
            Self::Reset(_) => "reset",
            Self::ServerEnd(_) => "server-end",
            Self::ServerPings(_) => "server-pings",
            Self::ServerConnections(_) => "server-connections",
            Self::Lost(_) => "lost",
            Self::AccessLog(_) => "access-log",
            Self::Counted(_) => "counted",
            Self::Trace(_) => "trace",
            Self::Spans(_) => "spans",
            Self::Diagnosis(_) => "diagnosis",
            Self::Detects(_) => "detects",
            Self::Config(_) => "config",
        }
    }

    /// Needs several calls and may stop before the cap.
    pub fn is_statistical(&self) -> bool {
        matches!(
            self,
            Self::ReachesAll(_)
                | Self::Pinned(_)
                | Self::Spread { .. }
                | Self::Share(_)
                | Self::StickyBy(_)
        )
    }

    /// Its answer rests on chance, with declared error rates.
    pub fn declares_rates(&self) -> bool {
        let sampled = matches!(self, Self::Spans(spans) if spans.sampled.is_some());
        self.is_statistical() || sampled || matches!(self, Self::Moved(_))
    }

    /// The expectation in words, as reports show it.
    pub fn expected(&self) -> String {
        match self {
            Self::Status(code) => status::name(*code),
            Self::Message(part) => format!("a message with \"{part}\""),
            Self::ProducedBy(who) => super::producer::words(*who).to_owned(),
            Self::ReachesAll(app) => format!("every pod of {app} answers"),
            Self::Pinned(true) => "one pod answers all calls of a connection".to_owned(),
            Self::Pinned(false) => "several pods answer the calls of one connection".to_owned(),
            Self::Spread { over, policy } => spread_words(over, *policy),
            Self::Share(shares) => share_words(shares),
            Self::StickyBy(key) => format!("calls with one {key} are answered by one pod"),
            Self::Moved(moved) => moved.words(),
            Self::AnsweredBy(workload) => format!("{workload} answers"),
            Self::Attempts(counts) => format!("{counts} per call"),
            Self::UpstreamProtocol(version) => version.clone(),
            Self::Took(span) => span.to_string(),
            Self::ServerDeadline(ServerDeadline::Absent) => "no grpc-timeout".to_owned(),
            Self::ServerDeadline(ServerDeadline::Within(span)) => span.to_string(),
            Self::Response(fields)
            | Self::InitialMetadata(fields)
            | Self::TrailingMetadata(fields)
            | Self::ServerMetadata(fields) => field_words(fields),
            Self::PeerIdentity(identity) => identity.clone(),
            Self::Tls(wanted) => tls::words(wanted),
            Self::ResponseFlag { at, flag } => format!("{flag} in the log of {at}"),
            Self::HttpStatus(code) => code.to_string(),
            Self::StatusIn(place) => super::matcher::call::place_words(*place).to_owned(),
            Self::PageSees(page) => format!("a page sees {page}"),
            Self::Stream { requests, replies } => {
                super::matcher::stream::words(*requests, *replies)
            }
            Self::Reset(None) => "no RST_STREAM".to_owned(),
            Self::Reset(Some(code)) => format!("RST_STREAM {code} from the peer"),
            Self::ServerEnd(end) => format!("{end} at the server"),
            Self::ServerPings(counts) => format!("{counts} PING frames at the servers"),
            Self::ServerConnections(counts) => format!("{counts} connections at the servers"),
            Self::Lost(0) => "no call lost".to_owned(),
            Self::Lost(most) => format!("at most {most} lost"),
            Self::AccessLog(log) => telemetry::log_words(log),
            Self::Counted(counted) => telemetry::counted_words(counted),
            Self::Trace(trace) => telemetry::trace_words(trace),
            Self::Spans(spans) => telemetry::spans_words(spans),
            Self::Diagnosis(diagnosis) => telemetry::diagnosis_words(diagnosis),
            Self::Detects(share) => format!("{} of the calls would be seen", percent(*share)),
            Self::Config(wanted) => config::words(wanted),
        }
    }
}

fn spread_words(over: &str, policy: SpreadPolicy) -> String {
    match policy {
        SpreadPolicy::Even => format!("even over the pods of {over}"),
        SpreadPolicy::RoundRobin => format!("the pods of {over} in strict turn"),
        SpreadPolicy::Random => format!("independent draws over the pods of {over}"),
        SpreadPolicy::AvoidsBusy => format!("the busy pod of {over} gets less than its share"),
    }
}

fn share_words(shares: &BTreeMap<String, f64>) -> String {
    let parts = shares
        .iter()
        .map(|(name, share)| format!("{name} {}", percent(*share)));
    parts.collect::<Vec<_>>().join(", ")
}

impl ResolvedExpect {
    /// Parses every set field. All errors are returned, not only the first.
    pub fn resolve(expect: &Expect) -> Result<Self, Vec<ExpectError>> {
        let mut found = Found::default();
        found.calls(expect);
        found.balance(expect);
        found.servers(expect);
        found.answers(expect);
        found.streams(expect);
        found.telemetry(expect);
        if !found.errors.is_empty() {
            return Err(found.errors);
        }
        let place = |m: &Matcher| MATCHERS.iter().position(|name| *name == m.name());
        found.matchers.sort_by_key(place);
        Ok(Self {
            matchers: found.matchers,
        })
    }

    /// Only the named matchers: what a [`super::monitor::Monitor`] watches in a contrast. Judging takes the whole expectation and
    /// filters the checks with [`super::as_contrast`], since `status` and `lost` say which calls count.
    #[must_use]
    pub fn only(&self, names: &[String]) -> Self {
        let listed = |m: &&Matcher| names.iter().any(|name| name == m.name());
        Self {
            matchers: self.matchers.iter().filter(listed).cloned().collect(),
        }
    }

    /// With the placeholders of texts replaced.
    #[must_use]
    pub fn expanded(&self, expand: impl Fn(&str) -> String) -> Self {
        let mut full = self.clone();
        for matcher in &mut full.matchers {
            match matcher {
                Matcher::PeerIdentity(text) | Matcher::Message(text) => *text = expand(text),
                Matcher::Tls(wanted) => {
                    let names = wanted.names.iter_mut().flatten();
                    names.for_each(|name| *name = expand(name));
                }
                Matcher::Counted(wanted) => {
                    let each = std::mem::take(&mut wanted.counters).into_iter();
                    wanted.counters = each.map(|(name, what)| (expand(&name), what)).collect();
                }
                Matcher::Diagnosis(wanted) => {
                    let each = std::mem::take(&mut wanted.lines).into_iter();
                    wanted.lines = each.map(|(text, n)| (expand(&text), n)).collect();
                }
                Matcher::Config(wanted) => wanted.texts().for_each(|text| *text = expand(text)),
                Matcher::Response(fields)
                | Matcher::InitialMetadata(fields)
                | Matcher::TrailingMetadata(fields)
                | Matcher::ServerMetadata(fields) => {
                    let each = fields.values_mut().flatten();
                    each.for_each(|values| *values = values.map(&expand));
                }
                Matcher::AccessLog(AccessLog { fields, .. }) => {
                    let texts = fields.values_mut().flatten();
                    texts.for_each(|text| *text = expand(text));
                }
                _ => {}
            }
        }
        full
    }

    pub fn status(&self) -> Option<u32> {
        self.matchers.iter().find_map(|matcher| match matcher {
            Matcher::Status(code) => Some(*code),
            _ => None,
        })
    }

    /// Calls that may be lost.
    pub fn lost(&self) -> u64 {
        let lost = self.matchers.iter().find_map(|matcher| match matcher {
            Matcher::Lost(most) => Some(*most),
            _ => None,
        });
        lost.unwrap_or(0)
    }

    pub fn is_statistical(&self) -> bool {
        self.matchers.iter().any(Matcher::is_statistical)
    }

    pub fn moved(&self) -> Option<&Moved> {
        self.matchers.iter().find_map(|matcher| match matcher {
            Matcher::Moved(moved) => Some(moved),
            _ => None,
        })
    }

    /// Share of calls that must not break exact matchers unseen.
    pub fn detects(&self) -> Option<f64> {
        self.matchers.iter().find_map(|matcher| match matcher {
            Matcher::Detects(share) => Some(*share),
            _ => None,
        })
    }

    /// A pod must be kept busy for this.
    pub fn avoids_busy(&self) -> bool {
        let policy = |matcher: &Matcher| match matcher {
            Matcher::Spread { policy, .. } => *policy == SpreadPolicy::AvoidsBusy,
            _ => false,
        };
        self.matchers.iter().any(policy)
    }

    pub fn has(&self, name: &str) -> bool {
        self.matchers.iter().any(|matcher| matcher.name() == name)
    }
}

#[derive(Default)]
struct Found {
    matchers: Vec<Matcher>,
    errors: Vec<ExpectError>,
}

impl Found {
    fn push(&mut self, parsed: Result<Matcher, ExpectError>) {
        match parsed {
            Ok(matcher) => self.matchers.push(matcher),
            Err(error) => self.errors.push(error),
        }
    }

    fn value<T>(
        &mut self,
        field: &'static str,
        parsed: Result<T, ValueError>,
        make: impl FnOnce(T) -> Matcher,
    ) {
        let wrap = |error| ExpectError::Value { field, error };
        self.push(parsed.map(make).map_err(wrap));
    }

    fn metadata(
        &mut self,
        field: &'static str,
        wanted: &Option<Fields>,
        make: impl FnOnce(Fields) -> Matcher,
    ) {
        let Some(fields) = wanted else { return };
        let each = fields.iter();
        let mut faults = each.filter_map(|(key, values)| binary_fault(key, values.as_ref()?));
        let parsed = match faults.next() {
            Some(words) => Err(ExpectError::Bytes { field, words }),
            None => Ok(make(fields.clone())),
        };
        self.push(parsed);
    }

    fn calls(&mut self, expect: &Expect) {
        if let Some(text) = &expect.status {
            let code = status::code(text).ok_or_else(|| ExpectError::Status(text.clone()));
            self.push(code.map(Matcher::Status));
        }
        if let Some(part) = &expect.message {
            self.matchers.push(Matcher::Message(part.clone()));
        }
        if let Some(who) = expect.produced_by {
            self.matchers.push(Matcher::ProducedBy(who));
        }
        if let Some(text) = &expect.took {
            self.value("took", Span::parse(text), Matcher::Took);
        }
        if let Some(most) = expect.lost {
            self.matchers.push(Matcher::Lost(most));
        }
    }

    fn balance(&mut self, expect: &Expect) {
        if let Some(app) = &expect.reaches_all {
            self.matchers.push(Matcher::ReachesAll(app.clone()));
        }
        if let Some(pinned) = expect.pinned {
            self.matchers.push(Matcher::Pinned(pinned));
        }
        if let Some(spread) = &expect.spread {
            let (over, policy) = (spread.over.clone(), spread.policy);
            self.matchers.push(Matcher::Spread { over, policy });
        }
        if let Some(shares) = &expect.share {
            self.push(parse_shares(shares));
        }
        if let Some(key) = &expect.sticky_by {
            self.matchers.push(Matcher::StickyBy(key.clone()));
        }
        if let Some(moved) = &expect.moved {
            self.value("moved", Moved::parse(moved), Matcher::Moved);
        }
        if let Some(workload) = &expect.answered_by {
            self.matchers.push(Matcher::AnsweredBy(workload.clone()));
        }
    }

    fn servers(&mut self, expect: &Expect) {
        if let Some(text) = &expect.attempts {
            self.value("attempts", Counts::parse(text), Matcher::Attempts);
        }
        if let Some(text) = &expect.upstream_protocol {
            let known = ["HTTP/2.0", "HTTP/1.1"].contains(&text.as_str());
            let refused = || ExpectError::Protocol(text.clone());
            self.push(
                known
                    .then(|| Matcher::UpstreamProtocol(text.clone()))
                    .ok_or_else(refused),
            );
        }
        if let Some(text) = &expect.server_deadline {
            let parsed = match text.as_str() {
                "none" => Ok(ServerDeadline::Absent),
                other => Span::parse(other).map(ServerDeadline::Within),
            };
            self.value("server-deadline", parsed, Matcher::ServerDeadline);
        }
        self.metadata(
            "server-metadata",
            &expect.server_metadata,
            Matcher::ServerMetadata,
        );
    }

    fn streams(&mut self, expect: &Expect) {
        if let Some(intact) = &expect.stream {
            let counts = |text: &Option<String>| text.as_deref().map(Wanted::parse).transpose();
            let both = counts(&intact.requests)
                .and_then(|requests| Ok((requests, counts(&intact.replies)?)));
            self.value("stream", both, |(requests, replies)| Matcher::Stream {
                requests,
                replies,
            });
        }
        if let Some(code) = &expect.reset {
            self.matchers.push(Matcher::Reset(
                Some(code.clone()).filter(|code| code != "none"),
            ));
        }
        if let Some(end) = &expect.server_end {
            let known = ["answered", "cancelled", "reset"].contains(&end.as_str());
            let refused = || ExpectError::ServerEnd(end.clone());
            self.push(
                known
                    .then(|| Matcher::ServerEnd(end.clone()))
                    .ok_or_else(refused),
            );
        }
        if let Some(text) = &expect.server_pings {
            self.value("server-pings", Counts::parse(text), Matcher::ServerPings);
        }
        if let Some(text) = &expect.server_connections {
            let counts = Counts::parse(text);
            self.value("server-connections", counts, Matcher::ServerConnections);
        }
    }

    fn telemetry(&mut self, expect: &Expect) {
        let found = &mut self.matchers;
        found.extend(expect.access_log.clone().map(Matcher::AccessLog));
        found.extend(expect.counted.clone().map(Matcher::Counted));
        found.extend(expect.trace.clone().map(Matcher::Trace));
        found.extend(expect.diagnosis.clone().map(Matcher::Diagnosis));
        found.extend(expect.config.clone().map(Matcher::Config));
        if let Some(text) = &expect.detects {
            self.value("detects", range::share(text), Matcher::Detects);
        }
        if let Some(spans) = &expect.spans {
            let share = spans.sampled.as_deref().map_or(Ok(1.0), range::share);
            self.value("spans", share, |_| Matcher::Spans(spans.clone()));
        }
    }

    fn answers(&mut self, expect: &Expect) {
        let (initial, trailing) = (&expect.initial_metadata, &expect.trailing_metadata);
        self.metadata("response", &expect.response, Matcher::Response);
        self.metadata("initial-metadata", initial, Matcher::InitialMetadata);
        self.metadata("trailing-metadata", trailing, Matcher::TrailingMetadata);
        if let Some(identity) = &expect.peer_identity {
            self.matchers.push(Matcher::PeerIdentity(identity.clone()));
        }
        if let Some(wanted) = &expect.tls {
            self.push(parse_tls(wanted));
        }
        if let Some(wanted) = &expect.response_flag {
            let (at, flag) = (wanted.at.clone(), wanted.flag.clone());
            self.matchers.push(Matcher::ResponseFlag { at, flag });
        }
        if let Some(code) = expect.http_status {
            self.matchers.push(Matcher::HttpStatus(code));
        }
        if let Some(place) = expect.status_in {
            self.matchers.push(Matcher::StatusIn(place));
        }
        if let Some(text) = &expect.page_sees {
            let page = Page::parse(text).ok_or_else(|| ExpectError::Page(text.clone()));
            self.push(page.map(Matcher::PageSees));
        }
    }
}

fn parse_tls(wanted: &TlsExpect) -> Result<Matcher, ExpectError> {
    match &wanted.refused {
        Some(word) if !tls::reasons().any(|known| known == word) => Err(ExpectError::Refusal {
            word: word.clone(),
            known: tls::reasons().collect::<Vec<_>>().join(", "),
        }),
        _ => Ok(Matcher::Tls(wanted.clone())),
    }
}

fn parse_shares(shares: &BTreeMap<String, String>) -> Result<Matcher, ExpectError> {
    let mut parsed = BTreeMap::new();
    for (workload, text) in shares {
        let share = range::share(text).map_err(|error| ExpectError::Value {
            field: "share",
            error,
        })?;
        parsed.insert(workload.clone(), share);
    }
    let sum: f64 = parsed.values().sum();
    if (sum - 1.0).abs() > 1e-6 {
        return Err(ExpectError::ShareSum(sum * 100.0));
    }
    Ok(Matcher::Share(parsed))
}
