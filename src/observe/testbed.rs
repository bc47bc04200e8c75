//! Drives callers and reads servers' ledgers over the control port.

use std::time::Duration;

use bytes::BytesMut;
use http::Method;
use http_body_util::BodyExt as _;
use testbed::{
    control::{Alive, Attempt, CallPlan, Reached, RunLine, Span, Stall, State},
    lines,
};

use crate::{
    errors::{Classified, ErrorClass, chain},
    transport::http::{HttpError, PodPort},
};

/// A caller stops its calls if it does not hear from this process for this long. Longer than the
/// process stalls on a busy machine.
const LEASE: Duration = Duration::from_secs(10);
/// How often the caller hears from this process.
const BEAT: Duration = Duration::from_secs(2);
/// Largest size of the observations of one run, as JSON.
const MAX_BYTES: usize = 1 << 30;

/// An error running a caller or reading from a test server.
#[derive(Debug, thiserror::Error)]
pub enum CallerError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("the caller rejected the calls: {0}")]
    Refused(String),
    #[error("the caller stopped after {calls} calls: {message}")]
    Stopped { calls: u64, message: String },
    #[error(
        "the observations of one run exceed the limit of {MAX_BYTES} bytes ({calls} calls): make fewer calls"
    )]
    Bound { calls: u64 },
    #[error("the caller's response was cut off after {calls} calls: {message}")]
    Broke { calls: u64, message: String },
}

/// Callers, servers and the connections to them belong to the harness.
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

/// A caller's summary at the end of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndOfRun {
    pub took_us: u64,
    /// When the caller process itself was stalled.
    pub stalls: Vec<Stall>,
}

/// Runs a plan. `each` receives every line as it arrives and returns whether to continue. Returns
/// the caller's summary, if it was not stopped.
///
/// # Errors
/// [`CallerError`]: the harness failed, and nothing is known about the mesh.
pub async fn run(
    caller: &PodPort,
    plan: &CallPlan,
    mut each: impl FnMut(RunLine) -> bool,
) -> Result<Option<EndOfRun>, CallerError> {
    let body = serde_json::to_vec(plan).map_err(|error| CallerError::Refused(error.to_string()))?;
    let path = format!("/v1/run?lease_ms={}", LEASE.as_millis());
    let mut body = caller.send_on(&path, body, BEAT).await?;
    let (mut buffer, mut calls, mut bytes) = (BytesMut::new(), 0, 0);
    let broke = |calls, message: String| CallerError::Broke { calls, message };
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
            match lines::run_line(&line).map_err(|error| broke(calls, error.to_string()))? {
                RunLine::Refused { reason } => return Err(CallerError::Refused(reason)),
                RunLine::Stopped { reason } => {
                    let message = reason;
                    return Err(CallerError::Stopped { calls, message });
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
    Err(broke(calls, "unexpected end of the response".to_owned()))
}

/// All attempts whose call id starts with `prefix`.
///
/// # Errors
/// The server does not answer.
pub async fn ledger(server: &PodPort, prefix: &str) -> Result<Vec<Attempt>, CallerError> {
    let path = format!("/v1/ledger?prefix={prefix}");
    let body = server.fetch(Method::GET, &path).await?;
    lines::attempts(&body).map_err(|error| unreadable(&error))
}

/// All attempts of the calls of one run, without runs whose id merely has the same prefix.
///
/// # Errors
/// The server does not answer.
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
/// The collector does not answer.
pub async fn spans(collector: &PodPort) -> Result<Vec<Span>, CallerError> {
    let body = collector.fetch(Method::GET, "/v1/spans").await?;
    let lines = body.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_slice(line).map_err(|error| unreadable(&error)))
        .collect()
}

/// Lets a caller connect to `address` (`host:port`) the given number of times, without making
/// calls.
///
/// # Errors
/// The caller does not answer.
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
/// It does not answer.
pub async fn alive(port: &PodPort) -> Result<Alive, CallerError> {
    document(port, "/v1/alive").await
}

/// What the program behind a control port is doing and remembers.
///
/// # Errors
/// It does not answer.
pub async fn state(port: &PodPort) -> Result<State, CallerError> {
    document(port, "/v1/state").await
}

/// Makes a server forget everything, and returns its state afterwards.
///
/// # Errors
/// The server does not answer.
pub async fn reset(server: &PodPort) -> Result<State, CallerError> {
    answer(server, Method::POST, "/v1/reset").await
}

async fn document<T: serde::de::DeserializeOwned>(
    port: &PodPort,
    path: &str,
) -> Result<T, CallerError> {
    answer(port, Method::GET, path).await
}

async fn answer<T: serde::de::DeserializeOwned>(
    port: &PodPort,
    method: Method,
    path: &str,
) -> Result<T, CallerError> {
    let body = port.fetch(method, path).await?;
    serde_json::from_slice(&body).map_err(|error| unreadable(&error))
}

fn unreadable(error: &serde_json::Error) -> CallerError {
    CallerError::Broke {
        calls: 0,
        message: error.to_string(),
    }
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
