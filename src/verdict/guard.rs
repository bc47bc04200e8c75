//! Whether what was seen says anything of the mesh: one rule over every run of a probe.
//!
//! | what happened meanwhile | what becomes of the checks |
//! |---|---|
//! | a program that takes part was ended from outside, or a pod was deleted that no step asked for | all are undecided |
//! | a program of the mesh crashed by itself | they stay as they are, and say so |
//! | something stood still as long as a time that is judged, or as two such times are apart | those that are not as wanted are undecided |
//! | something stood still as long as a time that is stated | contrasts and `took` are undecided as well: they may be as wanted for that alone |
//! | a pod lost its readiness, now or before, and no step asked for it | those that are not as wanted are undecided, and contrasts: they may be refuted for that alone |
//! | the caller could not look up the name, or nothing of that address ever answered it | those that are refuted or not as wanted are undecided, unless a status of the client's own is claimed |
//!
//! What is undecided makes the scenario an ERROR with that cause; nothing here turns a check into
//! one that holds.
//!
//! Who ended a program: signals that the kernel sends for a program's own fault (SIGSEGV, SIGBUS,
//! SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS; signal(7)) and exit codes other than 0 are its own
//! doing; every other signal came from outside. The exit code of a container is 128 + the signal
//! that ended its first process. A program of ours that fails by itself says nothing of the mesh
//! either.

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

/// A time that is always judged: the period and the time limit of our pods' readiness probes
/// (Kubernetes' default for the limit). What stands still as long may lose its endpoints.
const ALWAYS: Duration = Duration::from_secs(1);
/// What is waited for for some time may fail by a stall of more than one such part of it.
const SLOWED_PART: u32 = 10;
/// Below this a stall that left everything as wanted is how busy machines are.
const SHORT: Duration = Duration::from_millis(250);

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Signal(i32),
    Code(i32),
    /// The kernel took it for want of memory.
    OutOfMemory,
    /// Its pod was deleted.
    Deleted,
}

impl Ending {
    /// From a container's exit code and the reason beside it.
    pub fn new(code: i32, reason: &str) -> Self {
        match (reason, code) {
            ("OOMKilled", _) => Self::OutOfMemory,
            (_, 129..=192) => Self::Signal(code - 128),
            (_, code) => Self::Code(code),
        }
    }

    /// Nobody else did it.
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
            Self::Signal(signal) => write!(f, "was ended from outside ({})", name(*signal)),
            Self::Code(code) => write!(f, "ended (exit code {code})"),
            Self::OutOfMemory => f.write_str("was ended for want of memory"),
            Self::Deleted => f.write_str("was deleted, which no step asked for"),
        }
    }
}

/// Something that takes part came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Termination {
    /// For messages: `the sidecar of pod P`.
    pub who: String,
    /// It is a program of the mesh.
    pub mesh: bool,
    pub how: Ending,
}

impl Termination {
    /// The mesh's own fault.
    pub fn is_fault(&self) -> bool {
        self.mesh && self.how.is_own()
    }

    /// Memory is the machine's; a pod that nobody here deleted, the cluster's; everything else is a
    /// matter of whose program it was.
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
        write!(f, "{} {} meanwhile", self.who, self.how)
    }
}

/// Something that takes part stood still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stalled {
    /// For messages: `the server pod P`.
    pub who: String,
    /// Whose trouble that is.
    pub class: ErrorClass,
    /// At least so long.
    pub time: Duration,
}

impl Stalled {
    fn trouble(&self) -> Trouble {
        Trouble::new(self.to_string(), self.class)
    }
}

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} stood still for {} ms",
            self.who,
            self.time.as_millis()
        )
    }
}

/// The times that what is judged rests on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Times {
    /// Limits and bounds: of the probe, of what it expects, and of the configuration that is
    /// applied.
    limits: BTreeSet<Duration>,
    /// What only shifts others: how long a server waits.
    delays: BTreeSet<Duration>,
}

impl Times {
    /// A limit; none where it is zero.
    pub fn limit(&mut self, time: Duration) {
        if !time.is_zero() {
            self.limits.insert(time);
        }
    }

    /// Milliseconds that a server or a caller waits by its script.
    pub fn delay_ms(&mut self, ms: u64) {
        if ms > 0 {
            self.delays.insert(Duration::from_millis(ms));
        }
    }

    /// Every duration that an object of the mesh states.
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

    /// The bounds that an expectation states.
    pub fn expected(&mut self, expect: &ResolvedExpect) {
        for span in expect.matchers.iter().filter_map(Matcher::bound) {
            self.limit(span.from);
            span.to.into_iter().for_each(|to| self.limit(to));
        }
    }

    /// The shortest of them.
    fn shortest(&self) -> Duration {
        self.limits
            .iter()
            .copied()
            .min()
            .map_or(ALWAYS, |least| least.min(ALWAYS))
    }

    /// The least by which two of them differ: who is delayed by so much may be overtaken.
    fn margin(&self) -> Duration {
        let all: BTreeSet<Duration> = self.limits.union(&self.delays).copied().collect();
        let apart = all.iter().zip(all.iter().skip(1)).map(|(a, b)| *b - *a);
        apart.fold(self.shortest(), Duration::min)
    }
}

/// What of a run of a probe is not the mesh's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Circumstances {
    pub times: Times,
    pub deaths: Vec<Termination>,
    pub stalls: Vec<Stalled>,
    /// Pods that lost their readiness.
    pub unready: Vec<Trouble>,
    pub target: Target,
}

/// What is known of the address that a run of a probe called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// As it was called.
    pub address: String,
    /// Something there has answered, now or earlier in the scenario.
    pub answered: bool,
    /// A gateway listens there: whether it does is the mesh's matter.
    pub gateway: bool,
    /// A Service of the cluster's has this name and port, or somebody outside the cluster is meant.
    pub served: bool,
}

/// Why a caller got no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unconnected {
    Lookup,
    Refused,
    /// It broke before an answer.
    Broken,
}

impl Circumstances {
    /// The first cause that makes an undecided run of what went wrong by our own doing; for errors
    /// of steps.
    pub fn cause(&self) -> Option<Trouble> {
        let death = self.deaths.first().map(Termination::trouble);
        let long = self.stalls.iter().filter(|stall| stall.time >= ALWAYS);
        death.or_else(|| longest(long).map(Stalled::trouble))
    }

    /// The first cause by which what did not come within a time may be our own doing: something was
    /// ended from outside, or stood still for more than a tenth of it.
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

    /// Checks as they may be told, by the table above.
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
            let wanted = is_wanted(&check);
            let causable = check.contrast || check.matcher == Took::NAME;
            let cause = all
                .as_ref()
                .or(caused.as_ref().filter(|_| causable))
                .or(self.unready.first().filter(|_| check.contrast))
                .or(unwanted.as_ref().filter(|_| !wanted))
                .or(refuted
                    .as_ref()
                    .filter(|_| !wanted || check.result == CheckResult::Refuted));
            match cause {
                // What both sides counted is as trustworthy as before.
                Some(_) if ours && wanted => {}
                Some(cause) => {
                    check.actual = format!("{cause}; seen: {}", check.actual);
                    check.result = CheckResult::Undecided;
                    check.class = Some(cause.class);
                }
                None if !wanted => {
                    let words = crash.map(|death| format!("; {death}"));
                    check.actual += &words.unwrap_or_default();
                }
                None => {}
            }
            check
        });
        each.collect()
    }

    /// Nothing can be said at all.
    fn undecidable(&self) -> Option<Trouble> {
        let mut others = self.deaths.iter().filter(|death| !death.is_fault());
        others.next().map(Termination::trouble)
    }

    /// What only shows when something takes long may have shown for that: a contrast, a least time.
    /// Where no time is stated, none is judged.
    fn caused(&self) -> Option<Trouble> {
        let least = self.times.limits.iter().min()?;
        let long = (*least).max(SHORT);
        longest(self.stalls.iter().filter(|stall| stall.time >= long)).map(Stalled::trouble)
    }

    /// What is not as wanted may be our own doing. A stall may begin one tick before it is noticed.
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

    /// The calls never came to anything that the mesh is answerable for. DNS and the plain network
    /// are the cluster's; a port that no Service has is a mistake of whoever wrote it.
    fn unreached(&self, expect: &ResolvedExpect, calls: &[Observation]) -> Option<Trouble> {
        if claims_the_client(expect) {
            return None;
        }
        calls.iter().find_map(|call| {
            let (address, words) = (&self.target.address, words(call));
            match unconnected(call)? {
                Unconnected::Lookup => Some(Trouble::new(
                    format!("the caller could not look up {address}: {words}"),
                    ErrorClass::Mesh,
                )),
                Unconnected::Refused if !self.target.answered && !self.target.gateway => {
                    Some(Trouble::new(
                        format!("{address} was never reachable in the plain network: {words}"),
                        ErrorClass::Mesh,
                    ))
                }
                Unconnected::Broken
                    if !self.target.answered && !self.target.gateway && !self.target.served =>
                {
                    Some(Trouble::new(
                        format!("no Service has the port {address}: {words}"),
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

/// The result that the author wants.
pub fn is_wanted(check: &Check) -> bool {
    match check.result {
        CheckResult::Holds => !check.contrast,
        CheckResult::Refuted => check.contrast,
        CheckResult::Undecided => false,
    }
}

/// Something of that address answered a call: it was there to be judged.
pub fn is_answer(call: &Observation) -> bool {
    matches!(
        call.status.origin,
        Origin::Wire | Origin::Http | Origin::Reset
    ) || call.headers_us.is_some()
}

/// The author expects what the client itself says.
fn claims_the_client(expect: &ResolvedExpect) -> bool {
    expect.matchers.iter().any(Matcher::is_about_the_client)
}

fn words(call: &Observation) -> &str {
    call.transport_error
        .as_deref()
        .unwrap_or(&call.status.message)
}

/// Clients say it in the words of their libraries: Rust's and glibc's, Go's, gRPC core's.
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
    let said = |all: &[&str]| all.iter().any(|one| words(call).contains(one));
    let browser = call.web.as_ref().is_some_and(|web| web.browser.is_some());
    match call.status.origin {
        // A page is told nothing but that it got nothing.
        _ if browser => None,
        Origin::Transport if said(&LOOKUP) => Some(Unconnected::Lookup),
        Origin::Transport | Origin::ClientDeadline if said(&REFUSED) => Some(Unconnected::Refused),
        Origin::Transport => Some(Unconnected::Broken),
        _ => None,
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
