//! Exact matchers on single calls: every call must satisfy them.

use std::time::Duration;

use testbed::control::Observation;

use super::page::Page;
use crate::{
    scenario::{
        model::{Producer, web::StatusIn},
        range::{Span, human},
        status,
        values::Fields,
    },
    verdict::{
        answer,
        calls::Calls,
        fields,
        judgement::{Judgement, every, exact},
        logged,
        outcome::CheckResult,
        producer,
        tally::{Tally, short},
    },
};

/// `message`: each status says this.
pub fn message(part: &str, calls: &Calls<'_>) -> Judgement {
    every(&calls.kept(), message_of, |call| {
        call.status.message.contains(part)
    })
}

/// `answered-by`: this workload answered each call.
pub fn answered_by(name: &str, calls: &Calls<'_>) -> Judgement {
    every(&calls.kept(), answered, |call| {
        answer::workload(call) == Some(name)
    })
}

/// `http-status`: of each answer.
pub fn http_status(code: u16, calls: &Calls<'_>) -> Judgement {
    every(&calls.kept(), http, |call| call.http_status == Some(code))
}

/// `status-in`: where each answer carried its `grpc-status`.
pub fn status_in(wanted: StatusIn, calls: &Calls<'_>) -> Judgement {
    every(
        &calls.kept(),
        |call| place_words(status_place(call)).to_owned(),
        |call| status_place(call) == wanted,
    )
}

/// `page-sees`: what a page's script would see of each call.
pub fn page_sees(wanted: Page, calls: &Calls<'_>) -> Judgement {
    every(&calls.kept(), page, |call| Page::of(call) == Some(wanted))
}

/// `response`: headers and trailers together.
pub fn response(wanted: &Fields, calls: &Calls<'_>) -> Judgement {
    metadata(&calls.kept(), wanted, |call, key| {
        let mut all = fields::all(&call.headers, key);
        all.extend(fields::all(&call.trailers, key));
        all
    })
}

/// `initial-metadata`, and with [`trailing_metadata`] the rest of an answer's.
pub fn initial_metadata(wanted: &Fields, calls: &Calls<'_>) -> Judgement {
    metadata(&calls.kept(), wanted, |call, key| {
        fields::all(fields::initial(call), key)
    })
}

/// `trailing-metadata`.
pub fn trailing_metadata(wanted: &Fields, calls: &Calls<'_>) -> Judgement {
    metadata(&calls.kept(), wanted, |call, key| {
        fields::all(fields::trailing(call), key)
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

/// `produced-by`. Where it is not known which proxy it was, a claim of one is open unless another call refutes it.
pub fn produced_by(who: Producer, calls: &Calls<'_>) -> Judgement {
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
pub fn lost(calls: &Calls<'_>) -> Judgement {
    let tally = calls.judged.iter().map(|call| {
        let name = status::name(call.status.code);
        if !calls.is_lost(call) {
            return name;
        }
        let by = producer::words(calls.producer(call));
        let words = short(&reason(call), 60);
        match (logged::reason(&calls.seen.logged, call), words.as_str()) {
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

fn message_of(call: &Observation) -> String {
    match call.status.message.as_str() {
        "" => "no message".to_owned(),
        some => format!("\"{}\"", short(some, 80)),
    }
}

fn answered(call: &Observation) -> String {
    answer::workload(call).map_or_else(
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

/// `took`. Times have too many kinds for a tally: shortest and longest say it. A call that ended too late is no evidence against
/// the mesh when our own side stalled that long; when all of them are such, nothing can be said.
pub fn took(span: Span, calls: &Calls<'_>) -> Judgement {
    let (calls, stalls) = (calls.kept(), &calls.seen.stalls);
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

/// `response-flag`: Envoy joins several flags by commas; the wanted one must be among them.
pub fn response_flag(flag: &str, at: &str, calls: &Calls<'_>) -> Judgement {
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
