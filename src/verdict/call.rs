//! Exact matchers on single calls: every call must satisfy them.

use std::{collections::BTreeMap, time::Duration};

use testbed::control::{Attempt, Observation};

use super::{
    expect::Matcher,
    fields,
    outcome::CheckResult,
    page::Page,
    producer,
    range::{Span, human},
    seen::{self, Seen},
    sequential::Judgement,
    stall::Stalls,
    status,
    tally::{Tally, short},
    tls, why,
};
use crate::scenario::{model::Producer, model_web::StatusIn, values::Fields};

/// What the exact matchers look at: calls beside the attempts that servers counted for each.
pub struct Calls<'a> {
    pub seen: &'a Seen,
    /// Calls that are judged: without those that the caller gave up, and those that strangers answered.
    pub judged: Vec<&'a Observation>,
    pub attempts: BTreeMap<&'a str, Vec<&'a Attempt>>,
    /// Status that a call must have to be no loss.
    pub wanted: u32,
    /// Losses that the expectation permits.
    pub lost: u64,
}

impl<'a> Calls<'a> {
    pub fn new(seen: &'a Seen, wanted: u32, lost: u64) -> Self {
        let mut attempts: BTreeMap<&str, Vec<&Attempt>> = BTreeMap::new();
        for attempt in &seen.attempts {
            attempts.entry(&attempt.call).or_default().push(attempt);
        }
        let judged = seen.own().filter(|call| !seen::given_up(call));
        Self {
            seen,
            judged: judged.collect(),
            attempts,
            wanted,
            lost,
        }
    }

    pub fn attempts_of(&self, call: &Observation) -> &[&'a Attempt] {
        self.attempts
            .get(call.call.as_str())
            .map_or(&[], Vec::as_slice)
    }

    /// Who produced the status of a call.
    pub fn producer(&self, call: &Observation) -> Producer {
        producer::producer(call, self.attempts_of(call), &self.seen.way)
    }

    fn is_lost(&self, call: &Observation) -> bool {
        call.status.code != self.wanted
    }

    /// Calls that matchers other than `status` look at: permitted losses are no evidence against them.
    pub fn kept(&self) -> Vec<&'a Observation> {
        let lost = self.judged.iter().filter(|call| self.is_lost(call)).count() as u64;
        let excuse = lost <= self.lost;
        let kept = self.judged.iter().copied();
        kept.filter(|call| !(excuse && self.is_lost(call)))
            .collect()
    }
}

/// Judges an exact matcher that looks at calls; `None` for other kinds.
pub fn judge(matcher: &Matcher, calls: &Calls<'_>) -> Option<Judgement> {
    let kept = || calls.kept();
    Some(match matcher {
        Matcher::Status(_) => lost(calls),
        Matcher::Lost(_) => lost(calls),
        Matcher::Message(part) => {
            every(&kept(), message, |call| call.status.message.contains(part))
        }
        Matcher::ProducedBy(who) => produced_by(*who, calls),
        Matcher::AnsweredBy(workload) => every(&kept(), answered, |call| {
            seen::workload(call) == Some(workload.as_str())
        }),
        Matcher::Took(span) => took(&kept(), *span, &calls.seen.stalls),
        Matcher::HttpStatus(code) => every(&kept(), http, |call| call.http_status == Some(*code)),
        Matcher::StatusIn(wanted) => every(
            &kept(),
            |call| place_words(status_place(call)).to_owned(),
            |call| status_place(call) == *wanted,
        ),
        Matcher::PageSees(wanted) => every(&kept(), page, |call| Page::of(call) == Some(*wanted)),
        Matcher::Response(wanted) => metadata(&kept(), wanted, |call, key| {
            let mut all = fields::all(&call.headers, key);
            all.extend(fields::all(&call.trailers, key));
            all
        }),
        Matcher::InitialMetadata(wanted) => metadata(&kept(), wanted, |call, key| {
            fields::all(fields::initial(call), key)
        }),
        Matcher::TrailingMetadata(wanted) => metadata(&kept(), wanted, |call, key| {
            fields::all(fields::trailing(call), key)
        }),
        Matcher::Tls(wanted) => tls::judge(wanted, calls),
        Matcher::ResponseFlag { flag, at } => flags(calls, flag, at),
        _ => return None,
    })
}

/// Every call has exactly the wanted values.
fn metadata<'c>(
    calls: &[&'c Observation],
    wanted: &Fields,
    all: impl Fn(&'c Observation, &str) -> Vec<&'c str>,
) -> Judgement {
    let tally = calls
        .iter()
        .map(|call| fields::seen(wanted, |key| all(call, key)));
    let tally: Tally = tally.collect();
    let good = |call: &&'c Observation| fields::matches(wanted, |key| all(call, key));
    let result = match calls {
        [] => CheckResult::Undecided,
        _ if calls.iter().all(good) => CheckResult::Holds,
        _ => CheckResult::Refuted,
    };
    exact(result, tally)
}

/// Holds when `good` is true of each call; the actual side is the distribution of `text`.
pub fn every(
    calls: &[&Observation],
    text: impl Fn(&Observation) -> String,
    good: impl Fn(&Observation) -> bool,
) -> Judgement {
    let tally: Tally = calls.iter().map(|call| text(call)).collect();
    let result = match calls {
        [] => CheckResult::Undecided,
        _ if calls.iter().all(|call| good(call)) => CheckResult::Holds,
        _ => CheckResult::Refuted,
    };
    exact(result, tally)
}

/// An exact check: no statistics behind it.
pub fn exact(result: CheckResult, tally: Tally) -> Judgement {
    let samples = tally.total();
    let actual = if samples == 0 {
        "nothing was observed".to_owned()
    } else {
        tally.to_string()
    };
    Judgement {
        result,
        actual,
        samples,
        method: String::new(),
    }
}

/// Where it is not known which proxy it was, a claim of one is open unless another call refutes it.
fn produced_by(who: Producer, calls: &Calls<'_>) -> Judgement {
    let way = &calls.seen.way;
    let by = |call: &Observation| calls.producer(call);
    let text = |call: &Observation| match way.is_unknown(call) {
        true => "some proxy (Envoy's headers are hidden or mean either, and its log does not tell)"
            .to_owned(),
        false => producer::words(by(call)).to_owned(),
    };
    let kept = calls.kept();
    let sides = [Producer::NearProxy, Producer::FarProxy];
    let open = |call: &Observation| way.is_unknown(call) && sides.contains(&who);
    let good = |call: &Observation| open(call) || producer::matches(who, by(call));
    let mut judgement = every(&kept, text, good);
    if judgement.result == CheckResult::Holds && kept.iter().any(|call| open(call)) {
        judgement.result = CheckResult::Undecided;
    }
    judgement
}

/// `status` and `lost` are one rule: at most so many calls may end otherwise (none, unless `lost` says more).
fn lost(calls: &Calls<'_>) -> Judgement {
    let tally = calls.judged.iter().map(|call| {
        let name = status::name(call.status.code);
        if !calls.is_lost(call) {
            return name;
        }
        let by = producer::words(calls.producer(call));
        let words = short(&reason(call), 60);
        match (why::reason(&calls.seen.logged, call), words.as_str()) {
            (Some(why), "") => format!("{name} ({why})"),
            (Some(why), words) => format!("{name} (from {by}: \"{words}\"; {why})"),
            (None, words) => format!("{name} (from {by}: \"{words}\")"),
        }
    });
    let tally: Tally = tally.collect();
    let lost = calls
        .judged
        .iter()
        .filter(|call| calls.is_lost(call))
        .count() as u64;
    let result = match calls.judged.len() {
        0 => CheckResult::Undecided,
        _ if lost <= calls.lost => CheckResult::Holds,
        _ => CheckResult::Refuted,
    };
    exact(result, tally)
}

/// The most telling words that a failed call carries.
fn reason(call: &Observation) -> String {
    if let Some(error) = &call.transport_error {
        return error.clone();
    }
    match (&call.reset, call.status.message.as_str()) {
        (Some(reset), "") => format!("RST_STREAM {}", reset.code),
        (_, message) => message.to_owned(),
    }
}

fn message(call: &Observation) -> String {
    match call.status.message.as_str() {
        "" => "no message".to_owned(),
        some => format!("\"{}\"", short(some, 80)),
    }
}

fn answered(call: &Observation) -> String {
    seen::workload(call).map_or_else(
        || format!("no application ({})", status::name(call.status.code)),
        str::to_owned,
    )
}

fn http(call: &Observation) -> String {
    call.http_status
        .map_or_else(|| "no HTTP answer".to_owned(), |code| code.to_string())
}

fn page(call: &Observation) -> String {
    Page::of(call).map_or_else(
        || format!("nothing (\"{}\")", short(&reason(call), 60)),
        |page| page.to_string(),
    )
}

/// Where an answer carried its `grpc-status`.
fn status_place(call: &Observation) -> StatusIn {
    let has = |of: &[(String, String)]| !fields::all(of, "grpc-status").is_empty();
    match &call.web {
        Some(web) if web.trailers_frame && has(&call.trailers) => StatusIn::Body,
        _ if has(&call.trailers) => StatusIn::Trailers,
        _ if has(&call.headers) => StatusIn::Headers,
        _ => StatusIn::Nowhere,
    }
}

/// For messages.
pub fn place_words(place: StatusIn) -> &'static str {
    match place {
        StatusIn::Body => "in the body",
        StatusIn::Headers => "in the headers",
        StatusIn::Trailers => "in the trailers",
        StatusIn::Nowhere => "no grpc-status",
    }
}

/// Times have too many kinds for a tally: shortest and longest say it. A call that ended too late is no evidence against
/// the mesh when our own side stalled that long; when all of them are such, nothing can be said.
fn took(calls: &[&Observation], span: Span, stalls: &Stalls) -> Judgement {
    let time = |call: &Observation| Duration::from_micros(call.end_us.saturating_sub(call.sent_us));
    let times: Vec<Duration> = calls.iter().map(|call| time(call)).collect();
    let (Some(least), Some(most)) = (times.iter().min(), times.iter().max()) else {
        return exact(CheckResult::Undecided, Tally::default());
    };
    let outside = calls.iter().filter(|call| !span.contains(time(call)));
    let excuse = |call: &&&Observation| {
        let excess = time(call).checked_sub(span.to?)?;
        stalls.excuse(call, excess)
    };
    let excuses: Vec<_> = outside.map(|call| excuse(&call)).collect();
    let mut actual = if times.len() == 1 {
        human(*least)
    } else {
        format!("{} to {}", human(*least), human(*most))
    };
    if !excuses.is_empty() {
        actual += &format!("; {} of {} outside", excuses.len(), times.len());
    }
    let result = if excuses.is_empty() {
        CheckResult::Holds
    } else if excuses.iter().any(Option::is_none) {
        CheckResult::Refuted
    } else {
        let longest = excuses.into_iter().flatten().max();
        let words = longest.map(|longest| format!(", but {longest} meanwhile"));
        actual += &words.unwrap_or_default();
        CheckResult::Undecided
    };
    Judgement {
        result,
        actual,
        samples: times.len() as u64,
        method: String::new(),
    }
}

/// Envoy joins several flags by commas; the wanted one must be among them.
fn flags(calls: &Calls<'_>, flag: &str, at: &str) -> Judgement {
    let logged = |call: &Observation| calls.seen.flags.get(&call.call);
    let kept = calls.kept();
    let unlogged = kept.iter().filter(|call| logged(call).is_none()).count();
    let text = |call: &Observation| {
        logged(call)
            .cloned()
            .unwrap_or_else(|| "not logged".to_owned())
    };
    let good = |call: &Observation| {
        logged(call).is_some_and(|flags| flags.split(',').any(|one| one.trim() == flag))
    };
    let mut judgement = every(&kept, text, good);
    if unlogged > 0 {
        judgement.result = CheckResult::Undecided;
        judgement.actual += &format!("; {unlogged} calls are missing in the access log of {at}");
    }
    judgement
}
