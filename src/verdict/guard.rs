//! Whether observations are evidence about the mesh: one rule for every run of a probe.
//!
//! | what happened during the run | effect on the checks |
//! |---|---|
//! | a program that takes part was terminated from outside, or a pod was deleted although no step asked for it | all are undecided |
//! | a program of the mesh crashed by itself | they keep their results and mention the crash |
//! | something stalled for as long as a time that is judged, or as the difference between two such times | those with an unexpected result are undecided |
//! | something stalled for as long as a stated time | contrasts and `took` are undecided as well: the stall alone may have produced the expected result |
//! | a pod lost its readiness, now or earlier, although no step asked for it | those with an unexpected result are undecided, and so are contrasts: they may be refuted for that reason alone |
//! | the caller could not resolve the name, or nothing at that address ever answered it | those that are refuted or have an unexpected result are undecided, unless a status of the client's own is claimed |
//!
//! An undecided check makes the scenario an ERROR with that cause. Nothing here makes a check hold.
//!
//! Why a program ended: signals that the kernel sends for a program's own fault (SIGSEGV, SIGBUS,
//! SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS; signal(7)) and exit codes other than 0 are failures of
//! the program itself; every other signal came from outside. The exit code of a container is 128 +
//! the signal that terminated its first process. A program of meshproof that fails by itself is no
//! evidence about the mesh either.

use std::{collections::BTreeSet, fmt, time::Duration};

use serde_json::Value;
use testbed::{
    control::{Observation, Origin},
    stall::TICK,
};

use super::{
    expect::ResolvedExpect,
    matcher::{Matcher, Spec as _, took::Took},
    outcome::{Check, CheckResult},
};
use crate::{
    errors::{ErrorClass, Trouble},
    values::range,
};

/// A time that is always judged: the period and the timeout of the test bed's readiness probes
/// (for the timeout, Kubernetes' default). A pod that stalls this long may lose its endpoints.
const ALWAYS: Duration = Duration::from_secs(1);
/// A stall of more than this fraction of a wait may be why the wait failed: 1/10.
const SLOWED_PART: u32 = 10;
/// Shorter stalls are normal on a busy machine if all results are as expected.
const SHORT: Duration = Duration::from_millis(250);

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Signal(i32),
    Code(i32),
    /// The kernel killed it because memory ran out.
    OutOfMemory,
    /// Its pod was deleted.
    Deleted,
}

impl Ending {
    /// Reads a container's exit code and termination reason.
    pub fn new(code: i32, reason: &str) -> Self {
        match (reason, code) {
            ("OOMKilled", _) => Self::OutOfMemory,
            (_, 129..=192) => Self::Signal(code - 128),
            (_, code) => Self::Code(code),
        }
    }

    /// Whether the program failed by itself.
    fn is_own(self) -> bool {
        const OWN: [i32; 7] = [4, 5, 6, 7, 8, 11, 31];
        match self {
            Self::Signal(signal) => OWN.contains(&signal),
            Self::Code(code) => code != 0,
            Self::OutOfMemory | Self::Deleted => false,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |signal: i32| {
            let known = nix::sys::signal::Signal::try_from(signal);
            known.map_or_else(|_| format!("signal {signal}"), |known| known.to_string())
        };
        match self {
            Self::Signal(signal) if self.is_own() => write!(f, "crashed ({})", name(*signal)),
            Self::Signal(signal) => write!(f, "was terminated from outside ({})", name(*signal)),
            Self::Code(code) => write!(f, "ended (exit code {code})"),
            Self::OutOfMemory => f.write_str("was killed because memory ran out"),
            Self::Deleted => f.write_str("was deleted (no step asked for it)"),
        }
    }
}

/// The end of a program or pod that takes part in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Termination {
    /// For messages: `the sidecar of pod P`.
    pub who: String,
    /// Whether it is a program of the mesh.
    pub mesh: bool,
    pub how: Ending,
}

impl Termination {
    /// Whether a program of the mesh failed by itself.
    pub fn is_fault(&self) -> bool {
        self.mesh && self.how.is_own()
    }

    /// The machine is responsible if memory ran out, and the mesh (with its cluster) for a pod that
    /// no step deleted. Otherwise it depends on whose program it was.
    pub fn class(&self) -> ErrorClass {
        match self.how {
            Ending::OutOfMemory => ErrorClass::Machine,
            Ending::Deleted => ErrorClass::Mesh,
            Ending::Signal(_) | Ending::Code(_) if self.mesh => ErrorClass::Mesh,
            Ending::Signal(_) | Ending::Code(_) => ErrorClass::Harness,
        }
    }

    fn trouble(&self) -> Trouble {
        Trouble::new(self.to_string(), self.class())
    }
}

impl fmt::Display for Termination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} during the run", self.who, self.how)
    }
}

/// A stall of a program or pod that takes part in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stalled {
    /// For messages: `the server pod P`.
    pub who: String,
    /// What is responsible for it.
    pub class: ErrorClass,
    /// The minimum length of the stall.
    pub time: Duration,
}

impl Stalled {
    fn trouble(&self) -> Trouble {
        Trouble::new(self.to_string(), self.class)
    }
}

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} stalled for {} ms", self.who, self.time.as_millis())
    }
}

/// The times on which the checks of a run depend.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Times {
    /// Limits and bounds: of the probe, its expectation, and the applied configuration.
    limits: BTreeSet<Duration>,
    /// Times that only shift others: how long a server waits.
    delays: BTreeSet<Duration>,
}

impl Times {
    /// Adds a limit, unless it is zero.
    pub fn limit(&mut self, time: Duration) {
        if !time.is_zero() {
            self.limits.insert(time);
        }
    }

    /// Adds the milliseconds that a server or a caller waits according to its script.
    pub fn delay_ms(&mut self, ms: u64) {
        if ms > 0 {
            self.delays.insert(Duration::from_millis(ms));
        }
    }

    /// Adds every duration in an object of the mesh.
    pub fn configured(&mut self, object: &Value) {
        let version = object["apiVersion"].as_str().unwrap_or_default();
        if version.contains(".istio.io/") || version.starts_with("gateway.networking.k8s.io/") {
            self.stated(object);
        }
    }

    fn stated(&mut self, value: &Value) {
        match value {
            Value::String(text) => range::duration(text)
                .into_iter()
                .for_each(|time| self.limit(time)),
            Value::Array(items) => items.iter().for_each(|item| self.stated(item)),
            Value::Object(fields) => fields.values().for_each(|field| self.stated(field)),
            _ => {}
        }
    }

    /// The longest limit.
    pub fn longest(&self) -> Duration {
        self.limits.iter().copied().max().unwrap_or_default()
    }

    /// Adds the bounds of an expectation.
    pub fn expected(&mut self, expect: &ResolvedExpect) {
        for span in expect.matchers.iter().filter_map(Matcher::bound) {
            self.limit(span.from);
            span.to.into_iter().for_each(|to| self.limit(to));
        }
    }

    /// The shortest limit, at most [`ALWAYS`].
    fn shortest(&self) -> Duration {
        self.limits
            .iter()
            .copied()
            .min()
            .map_or(ALWAYS, |least| least.min(ALWAYS))
    }

    /// The smallest difference between two of them: a delay of this length can change their order.
    fn margin(&self) -> Duration {
        let all: BTreeSet<Duration> = self.limits.union(&self.delays).copied().collect();
        let apart = all.iter().zip(all.iter().skip(1)).map(|(a, b)| *b - *a);
        apart.fold(self.shortest(), Duration::min)
    }
}

/// What happened during a run of a probe that may explain its results.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Circumstances {
    pub times: Times,
    pub deaths: Vec<Termination>,
    pub stalls: Vec<Stalled>,
    /// Pods that lost their readiness.
    pub unready: Vec<Trouble>,
    pub target: Target,
}

/// What is known about the address that a run of a probe called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// The address as it was called.
    pub address: String,
    /// Something at this address has answered, now or earlier in the scenario.
    pub answered: bool,
    /// It is a gateway: the mesh is responsible for whether it listens.
    pub gateway: bool,
    /// A Service of the cluster has this name and port, or the address is outside the cluster.
    pub served: bool,
}

/// Why a caller got no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unconnected {
    Lookup,
    Refused,
    /// The connection broke before a response.
    Broken,
}

impl Circumstances {
    /// The cause of a failed step: the first program that ended, or else the longest stall of at
    /// least [`ALWAYS`].
    pub fn cause(&self) -> Option<Trouble> {
        let death = self.deaths.first().map(Termination::trouble);
        let long = self.stalls.iter().filter(|stall| stall.time >= ALWAYS);
        death.or_else(|| longest(long).map(Stalled::trouble))
    }

    /// The cause for which something may have missed the time limit `within`: a program ended other
    /// than by a failure of the mesh, or something stalled for more than a tenth of the limit.
    pub fn slowed(&self, within: Duration) -> Option<Trouble> {
        let death = self.deaths.iter().find(|death| !death.is_fault());
        let long = self
            .stalls
            .iter()
            .filter(|stall| stall.time * SLOWED_PART > within);
        death
            .map(Termination::trouble)
            .or_else(|| longest(long).map(Stalled::trouble))
    }

    /// Applies the table above to the checks.
    #[must_use]
    pub fn guard(
        &self,
        checks: Vec<Check>,
        expect: &ResolvedExpect,
        calls: &[Observation],
    ) -> Vec<Check> {
        let all = self.undecidable();
        let (caused, unwanted) = (self.caused(), self.doubtful());
        let refuted = self.unreached(expect, calls);
        let crash = self.deaths.iter().find(|death| death.is_fault());
        let each = checks.into_iter().map(|mut check| {
            let ours = check.is_ours();
            let expected = is_wanted(&check);
            let causable = check.contrast || check.matcher == Took::NAME;
            let cause = all
                .as_ref()
                .or(caused.as_ref().filter(|_| causable))
                .or(self.unready.first().filter(|_| check.contrast))
                .or(unwanted.as_ref().filter(|_| !expected))
                .or(refuted
                    .as_ref()
                    .filter(|_| !expected || check.result == CheckResult::Refuted));
            match cause {
                // The counts of both sides are as trustworthy as before.
                Some(_) if ours && expected => {}
                Some(cause) => {
                    check.actual = format!("{cause}; seen: {}", check.actual);
                    check.result = CheckResult::Undecided;
                    check.class = Some(cause.class);
                }
                None if !expected => {
                    let message = crash.map(|death| format!("; {death}"));
                    check.actual += &message.unwrap_or_default();
                }
                None => {}
            }
            check
        });
        each.collect()
    }

    /// A cause for which no check can be decided.
    fn undecidable(&self) -> Option<Trouble> {
        let mut others = self.deaths.iter().filter(|death| !death.is_fault());
        others.next().map(Termination::trouble)
    }

    /// A stall that may have produced an expected result by itself: that of a contrast, or of a
    /// minimum time. If no time is stated, none is judged.
    fn caused(&self) -> Option<Trouble> {
        let least = self.times.limits.iter().min()?;
        let long = (*least).max(SHORT);
        longest(self.stalls.iter().filter(|stall| stall.time >= long)).map(Stalled::trouble)
    }

    /// A stall or lost readiness that may explain an unexpected result. A stall may begin one tick
    /// before it is noticed.
    fn doubtful(&self) -> Option<Trouble> {
        let margin = self.times.margin();
        let stall = longest(
            self.stalls
                .iter()
                .filter(|stall| stall.time + TICK >= margin),
        );
        stall
            .map(Stalled::trouble)
            .or_else(|| self.unready.first().cloned())
    }

    /// The calls never reached anything that the mesh is responsible for. DNS and the plain network
    /// belong to the cluster; a port that no Service has is a mistake in the scenario.
    fn unreached(&self, expect: &ResolvedExpect, calls: &[Observation]) -> Option<Trouble> {
        if claims_the_client(expect) {
            return None;
        }
        calls.iter().find_map(|call| {
            let (address, message) = (&self.target.address, message(call));
            match unconnected(call)? {
                Unconnected::Lookup => Some(Trouble::new(
                    format!("the caller could not resolve {address}: {message}"),
                    ErrorClass::Mesh,
                )),
                Unconnected::Refused if !self.target.answered && !self.target.gateway => {
                    Some(Trouble::new(
                        format!("{address} was never reachable over the plain network: {message}"),
                        ErrorClass::Mesh,
                    ))
                }
                Unconnected::Broken
                    if !self.target.answered && !self.target.gateway && !self.target.served =>
                {
                    Some(Trouble::new(
                        format!("no Service has the name and port {address}: {message}"),
                        ErrorClass::Input,
                    ))
                }
                _ => None,
            }
        })
    }
}

fn longest<'a>(stalls: impl Iterator<Item = &'a Stalled>) -> Option<&'a Stalled> {
    stalls.max_by_key(|stall| stall.time)
}

/// Whether the result is the expected one.
pub fn is_wanted(check: &Check) -> bool {
    match check.result {
        CheckResult::Holds => !check.contrast,
        CheckResult::Refuted => check.contrast,
        CheckResult::Undecided => false,
    }
}

/// Whether something at the address answered the call, so that it can be judged.
pub fn is_answer(call: &Observation) -> bool {
    matches!(
        call.status.origin,
        Origin::Wire | Origin::Http | Origin::Reset
    ) || call.headers_us.is_some()
}

/// Whether the expectation is about what the client itself reports.
fn claims_the_client(expect: &ResolvedExpect) -> bool {
    expect.matchers.iter().any(Matcher::is_about_the_client)
}

fn message(call: &Observation) -> &str {
    call.transport_error
        .as_deref()
        .unwrap_or(&call.status.message)
}

/// Recognises the error texts of the clients' libraries: Rust's and glibc's, Go's, gRPC core's.
fn unconnected(call: &Observation) -> Option<Unconnected> {
    const LOOKUP: [&str; 7] = [
        "failed to lookup address",
        "no such host",
        "server misbehaving",
        "name resolution",
        "DNS resolution failed",
        "Name or service not known",
        "Domain name not found",
    ];
    const REFUSED: [&str; 7] = [
        "onnection refused",
        "o route to host",
        "etwork is unreachable",
        "ost is unreachable",
        "onnection timed out",
        "i/o timeout",
        "no connection to ",
    ];
    let answer = |all: &[&str]| all.iter().any(|one| message(call).contains(one));
    let browser = call.web.as_ref().is_some_and(|web| web.browser.is_some());
    match call.status.origin {
        // A page learns only that there was no response.
        _ if browser => None,
        Origin::Transport if answer(&LOOKUP) => Some(Unconnected::Lookup),
        Origin::Transport | Origin::ClientDeadline if answer(&REFUSED) => {
            Some(Unconnected::Refused)
        }
        Origin::Transport => Some(Unconnected::Broken),
        _ => None,
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
