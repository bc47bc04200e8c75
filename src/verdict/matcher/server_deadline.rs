//! `server-deadline`: the `grpc-timeout` with which each attempt arrived at its server.

use std::time::Duration;

use statistics::Rates;
use testbed::control::Attempt;

use super::spec::{Exact, ExpectError, Form, Spec};
use crate::{
    values::range::{DurationRange, human},
    verdict::{
        calls::Calls,
        fields,
        judgement::{Judgement, every_attempt},
    },
};

/// The deadline that the servers must receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerDeadline {
    /// No `grpc-timeout` arrives (`none`).
    Absent,
    Within(DurationRange),
}

impl Spec for ServerDeadline {
    const NAME: &'static str = "server-deadline";
    const DOC: &'static str =
        "`grpc-timeout` that the servers received, e.g. `0.8s..1s`, or `none`.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`server-deadline: 0.8s..1s`",
        "every attempt arrived at its server with a `grpc-timeout` in this range; `none`: without one",
    )];
    const LOOKS_AT: &'static str = "from the servers' ledger";
    const EVERY_CALL: bool = true;
    type Written = String;

    fn read(written: &String) -> Result<Self, ExpectError> {
        match written.as_str() {
            "none" => Ok(Self::Absent),
            span => DurationRange::parse(span)
                .map(Self::Within)
                .map_err(ExpectError::value(Self::NAME)),
        }
    }

    fn expected(&self) -> String {
        match self {
            Self::Absent => "no grpc-timeout".to_owned(),
            Self::Within(span) => span.to_string(),
        }
    }

    fn bound(&self) -> Option<DurationRange> {
        match self {
            Self::Absent => None,
            Self::Within(span) => Some(*span),
        }
    }
}

impl Exact for ServerDeadline {
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        every_attempt(calls, deadline, |attempt| deadline_matches(*self, attempt))
    }
}

/// An attempt has a separate field for it. It is among the attempt's metadata only if it arrived
/// more than once.
const TIMEOUT: &str = "grpc-timeout";

fn deadline(attempt: &Attempt) -> String {
    let several = fields::all(&attempt.metadata, TIMEOUT);
    if !several.is_empty() {
        return format!("several values of {TIMEOUT}: {}", several.join(", "));
    }
    attempt.timeout_ms.map_or_else(
        || "no grpc-timeout".to_owned(),
        |ms| human(Duration::from_millis(ms)),
    )
}

fn deadline_matches(expected: ServerDeadline, attempt: &Attempt) -> bool {
    if !fields::all(&attempt.metadata, TIMEOUT).is_empty() {
        return false;
    }
    match (expected, attempt.timeout_ms) {
        (ServerDeadline::Absent, seen) => seen.is_none(),
        (ServerDeadline::Within(span), Some(ms)) => span.contains(Duration::from_millis(ms)),
        (ServerDeadline::Within(_), None) => false,
    }
}
