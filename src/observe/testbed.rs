//! Driving callers and reading servers' ledgers over the control port.

use std::time::Duration;

use bytes::BytesMut;
use http::Method;
use http_body_util::BodyExt as _;
use testbed::control::{Alive, Attempt, CallPlan, Reached, RunLine, Span, Stall};

use crate::{
    errors::{Classified, ErrorClass, chain},
    transport::http::{HttpError, PodPort},
};

/// A caller stops its calls when it hears nothing of us for so long. Longer than this process
/// stalls on a busy machine.
const LEASE: Duration = Duration::from_secs(10);
/// How often it hears of us.
const BEAT: Duration = Duration::from_secs(2);
/// Observations of one run, as JSON, that are taken.
const MAX_BYTES: usize = 1 << 30;

/// Why a caller's run is no observation.
#[derive(Debug, thiserror::Error)]
pub enum CallerError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("the caller refused the calls: {0}")]
    Refused(String),
    #[error("the caller stopped after {calls} calls: {words}")]
    Stopped { calls: u64, words: String },
    #[error(
        "the calls of one run fill more than {MAX_BYTES} bytes, the bound of what is observed ({calls} calls): make fewer"
    )]
    Bound { calls: u64 },
    #[error("the caller's answer broke off after {calls} calls: {words}")]
    Broke { calls: u64, words: String },
}

/// Callers, servers and the way to them are ours.
impl Classified for CallerError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Http(error) => error.class(),
            Self::Refused(_) | Self::Stopped { .. } | Self::Bound { .. } | Self::Broke { .. } => {
                ErrorClass::Harness
            }
        }
    }
}

/// What a caller says at the end of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndOfRun {
    pub took_us: u64,
    /// When the caller itself did not run.
    pub stalls: Vec<Stall>,
}

/// Runs a plan; `each` sees every line as it arrives and says whether to go on. Returns the
/// caller's last word, when it was not stopped.
///
/// # Errors
/// [`CallerError`]: our own side failed, nothing is known of the mesh.
pub async fn run(
    caller: &PodPort,
    plan: &CallPlan,
    mut each: impl FnMut(RunLine) -> bool,
) -> Result<Option<EndOfRun>, CallerError> {
    let body = serde_json::to_vec(plan).map_err(|error| CallerError::Refused(error.to_string()))?;
    let path = format!("/v1/run?lease_ms={}", LEASE.as_millis());
    let mut body = caller.send_on(&path, body, BEAT).await?;
    let (mut buffer, mut calls, mut bytes) = (BytesMut::new(), 0, 0);
    let broke = |calls, words: String| CallerError::Broke { calls, words };
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broke(calls, chain(&error)))?;
        let data = frame.data_ref().map_or(&[][..], |data| data);
        bytes += data.len();
        if bytes > MAX_BYTES {
            return Err(CallerError::Bound { calls });
        }
        buffer.extend_from_slice(data);
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line = buffer.split_to(end + 1);
            match serde_json::from_slice(&line).map_err(|error| broke(calls, error.to_string()))? {
                RunLine::Refused { reason } => return Err(CallerError::Refused(reason)),
                RunLine::Stopped { reason } => {
                    let words = reason;
                    return Err(CallerError::Stopped { calls, words });
                }
                RunLine::Done {
                    elapsed_us, stalls, ..
                } => {
                    return Ok(Some(EndOfRun {
                        took_us: elapsed_us,
                        stalls,
                    }));
                }
                other => {
                    calls += 1;
                    if !each(other) {
                        return Ok(None);
                    }
                }
            }
        }
    }
    Err(broke(calls, "end of answer".to_owned()))
}

/// All attempts whose call id begins with `prefix`.
///
/// # Errors
/// When the server cannot be asked.
pub async fn ledger(server: &PodPort, prefix: &str) -> Result<Vec<Attempt>, CallerError> {
    lines(server, &format!("/v1/ledger?prefix={prefix}")).await
}

/// All attempts of the calls of one run, and of no run whose id merely begins so.
///
/// # Errors
/// When the server cannot be asked.
pub async fn ledger_of(server: &PodPort, run: &str) -> Result<Vec<Attempt>, CallerError> {
    let mut attempts = ledger(server, &format!("{run}-")).await?;
    attempts.retain(|attempt| is_call_of(run, &attempt.call));
    Ok(attempts)
}

/// Call `n` of a run has the id `<run>-<n>` ([`CallPlan::id`]).
fn is_call_of(run: &str, call: &str) -> bool {
    let number = call
        .strip_prefix(run)
        .and_then(|rest| rest.strip_prefix('-'));
    number.is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// All spans that a collector received.
///
/// # Errors
/// When the collector cannot be asked.
pub async fn spans(collector: &PodPort) -> Result<Vec<Span>, CallerError> {
    lines(collector, "/v1/spans").await
}

/// Lets a caller connect to `address` (`host:port`) so many times, and do nothing more.
///
/// # Errors
/// When the caller cannot be asked.
pub async fn reach(caller: &PodPort, address: &str, times: u64) -> Result<Reached, CallerError> {
    document(
        caller,
        &format!("/v1/reach?address={address}&times={times}"),
    )
    .await
}

/// How long the program behind a control port has been running.
///
/// # Errors
/// When it cannot be asked.
pub async fn alive(port: &PodPort) -> Result<Alive, CallerError> {
    document(port, "/v1/alive").await
}

async fn document<T: serde::de::DeserializeOwned>(
    port: &PodPort,
    path: &str,
) -> Result<T, CallerError> {
    let body = port.fetch(Method::GET, path).await?;
    serde_json::from_slice(&body).map_err(|error| CallerError::Broke {
        calls: 0,
        words: error.to_string(),
    })
}

async fn lines<T: serde::de::DeserializeOwned>(
    port: &PodPort,
    path: &str,
) -> Result<Vec<T>, CallerError> {
    let body = port.fetch(Method::GET, path).await?;
    let lines = body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    lines
        .map(|line| {
            serde_json::from_slice(line).map_err(|error| CallerError::Broke {
                calls: 0,
                words: error.to_string(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::is_call_of;

    #[rstest::rstest]
    #[case("mp-r-1-a-1-0", true)]
    #[case("mp-r-1-a-1-17", true)]
    #[case::another_scenario("mp-r-1-a-1-b-1-0", false)]
    #[case::a_background("mp-r-1-a-1b0-0", false)]
    #[case::another_run("mp-r-1-a-11-0", false)]
    #[case::no_number("mp-r-1-a-1-", false)]
    #[case::not_of_ours("x", false)]
    fn a_ledger_is_asked_for_the_calls_of_one_run(#[case] call: &str, #[case] ours: bool) {
        assert_eq!(is_call_of("mp-r-1-a-1", call), ours);
    }
}
