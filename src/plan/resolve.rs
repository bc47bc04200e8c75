//! Resolves probes for a run: overrides merged, defaults filled in, values parsed.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
use testbed::{
    control::{Form, Script},
    streaming::StreamPlan,
};
use thiserror::Error;

use crate::{
    scenario::{
        model::{
            Case, Override, Probe, Scenario, Step,
            stream::Stream,
            tls::Tls,
            web::{Browser, Http, Web},
        },
        range::{self, ValueError},
        script,
        values::{self, Values},
        verb::spec::Run,
    },
    verdict::{
        Rates, ResolvedExpect,
        matcher::{ExpectError, detects::Detects, pinned::Pinned, remapped::Remapped},
        monitor::{Monitor, exact_floor},
        pods::Pods,
    },
};

/// One run of a probe, or of one of its cases, ready for the engine. Placeholders are not yet
/// replaced.
#[derive(Debug, Clone)]
pub struct ResolvedProbe {
    /// `<probe>` or `<probe>[<case>]`, as checks and reports name it.
    pub name: String,
    pub request: Request,
    pub load: Load,
    pub expect: ResolvedExpect,
    /// Error rates of its statistical matchers.
    pub rates: Rates,
}

/// The request of each call.
#[derive(Debug, Clone)]
pub struct Request {
    pub call: String,
    /// Wire format of the call.
    pub form: Form,
    /// Set when a page in a real browser makes the calls instead of a workload.
    pub browser: Option<Browser>,
    pub from: String,
    pub to: String,
    pub authority: Option<String>,
    pub messages: Vec<Value>,
    pub metadata: BTreeMap<String, Values>,
    /// Metadata keys with the number of values that they cycle through.
    pub per_call: BTreeMap<String, u64>,
    pub script: Option<Script>,
    pub stream: Option<StreamPlan>,
    pub pad: Option<u32>,
    pub deadline: Option<Duration>,
    pub tls: Option<Tls>,
}

/// The number of calls, and how they are made.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Number of calls; the cap if a matcher is statistical.
    pub times: u64,
    /// Number of calls that the statistical matchers may need with the workloads as written.
    pub needed: Option<u64>,
    pub connections: u32,
    pub streams: u32,
    /// Calls per second.
    pub rate: Option<f64>,
    pub reconnect: bool,
}

/// An error resolving a probe.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ResolveError {
    #[error("no probe is named '{0}'")]
    NoProbe(String),
    #[error("probe '{probe}' has no case '{case}'")]
    NoCase { probe: String, case: String },
    #[error("{name}: {error}")]
    Expect { name: String, error: ExpectError },
    #[error("{name}: deadline: {error}")]
    Deadline { name: String, error: ValueError },
    #[error("{name}: stream: {error}")]
    Stream { name: String, error: ValueError },
    #[error("{name}: metadata: {error}")]
    Metadata { name: String, error: String },
    #[error("{name}: script: {error}")]
    Script { name: String, error: String },
}

/// All runs of a probe: one, or one per case.
///
/// # Errors
/// The first value that cannot be parsed; lint reports all of them with their positions.
pub fn resolve_probe(
    scenario: &Scenario,
    probe: &str,
    rates: Rates,
) -> Result<Vec<ResolvedProbe>, ResolveError> {
    resolve(scenario, probe, &Override::default(), &[], rates)
}

/// The runs of a probe in one step: its cases, with the step's overrides applied last.
///
/// # Errors
/// As [`resolve_probe`], and an unknown case.
pub fn resolve_run(
    scenario: &Scenario,
    run: Run<'_>,
    rates: Rates,
) -> Result<Vec<ResolvedProbe>, ResolveError> {
    let nothing = Override::default();
    let with = run.with.unwrap_or(&nothing);
    resolve(scenario, run.probe, with, run.cases, rates)
}

fn resolve(
    scenario: &Scenario,
    name: &str,
    with: &Override,
    cases: &[String],
    rates: Rates,
) -> Result<Vec<ResolvedProbe>, ResolveError> {
    let probe = scenario
        .probes
        .get(name)
        .ok_or_else(|| ResolveError::NoProbe(name.to_owned()))?;
    let known = |case: &&String| probe.cases.iter().any(|row| row.name == **case);
    if let Some(case) = cases.iter().find(|case| !known(case)) {
        return Err(ResolveError::NoCase {
            probe: name.to_owned(),
            case: case.clone(),
        });
    }
    if probe.cases.is_empty() {
        let full = overlay(probe, with);
        return Ok(vec![ready(scenario, name.to_owned(), full, rates)?]);
    }
    let rows = probe
        .cases
        .iter()
        .filter(|row| cases.is_empty() || cases.contains(&row.name));
    rows.map(|row| {
        let full = overlay(&of_case(probe, row), with);
        ready(scenario, format!("{name}[{}]", row.name), full, rates)
    })
    .collect()
}

/// The probe with the overrides of one case.
pub fn of_case(probe: &Probe, row: &Case) -> Probe {
    let mut full = overlay(probe, &row.with);
    if let Some(expect) = &row.expect {
        full.expect = expect.over(&full.expect);
    }
    full
}

/// The probe with the fields set in `with` replaced; metadata is merged key by key.
pub fn overlay(probe: &Probe, with: &Override) -> Probe {
    let mut full = without_cases(probe);
    let replace = |slot: &mut String, value: &Option<String>| {
        if let Some(value) = value {
            slot.clone_from(value);
        }
    };
    replace(&mut full.call, &with.call);
    replace(&mut full.from, &with.from);
    replace(&mut full.to, &with.to);
    if with.web.is_some() || with.http.is_some() {
        (full.web, full.http) = (with.web, with.http.clone());
    }
    full.browser = with.browser.clone().or(full.browser);
    full.authority = with.authority.clone().or(full.authority);
    full.send = with.send.clone().unwrap_or(full.send);
    full.script = with.script.clone().or(full.script);
    full.stream = with.stream.clone().or(full.stream);
    full.pad = with.pad.or(full.pad);
    full.streams = with.streams.unwrap_or(full.streams);
    full.deadline = with.deadline.clone().or(full.deadline);
    full.tls = match (full.tls.take(), &with.tls) {
        (Some(below), Some(above)) => Some(below.with(above)),
        (below, above) => below.or_else(|| above.clone()),
    };
    full.times = with.times.or(full.times);
    full.connections = with.connections.unwrap_or(full.connections);
    full.reconnect = with.reconnect.unwrap_or(full.reconnect);
    for (key, value) in with.metadata.iter().flatten() {
        full.metadata.insert(key.clone(), value.clone());
    }
    full
}

/// A copy without the cases. Each of many cases is laid over its probe, and a copy of all of them
/// for each took half of the memory in which a suite is loaded.
fn without_cases(probe: &Probe) -> Probe {
    Probe {
        call: probe.call.clone(),
        web: probe.web,
        http: probe.http.clone(),
        browser: probe.browser.clone(),
        from: probe.from.clone(),
        to: probe.to.clone(),
        authority: probe.authority.clone(),
        send: probe.send.clone(),
        metadata: probe.metadata.clone(),
        per_call: probe.per_call.clone(),
        script: probe.script.clone(),
        stream: probe.stream.clone(),
        pad: probe.pad,
        deadline: probe.deadline.clone(),
        tls: probe.tls.clone(),
        times: probe.times,
        connections: probe.connections,
        streams: probe.streams,
        rate: probe.rate,
        reconnect: probe.reconnect,
        cases: Vec::new(),
        expect: probe.expect.clone(),
    }
}

/// The number of calls, and how they are made.
fn load(scenario: &Scenario, probe: &Probe, expect: &ResolvedExpect, rates: Rates) -> Load {
    let tests = needed(scenario, expect, probe.connections, rates);
    // Every value of the compared key is sent once.
    let keys = expect
        .get::<Remapped>()
        .and_then(|remapped| probe.per_call.get(&remapped.key).copied());
    let detected = expect
        .get::<Detects>()
        .map(|detects| statistics::calls_to_see(detects.0, rates.beta));
    let planned = planned(tests, keys.max(detected), expect, rates);
    Load {
        times: probe.times.or(planned).unwrap_or(1),
        needed: tests.max(keys).max(detected),
        connections: probe.connections,
        streams: probe.streams,
        rate: probe.rate,
        reconnect: probe.reconnect,
    }
}

fn ready(
    scenario: &Scenario,
    name: String,
    probe: Probe,
    rates: Rates,
) -> Result<ResolvedProbe, ResolveError> {
    let wrap = |mut errors: Vec<ExpectError>| ResolveError::Expect {
        name: name.clone(),
        error: errors.remove(0),
    };
    let expect = ResolvedExpect::resolve(&probe.expect).map_err(wrap)?;
    let deadline = probe.deadline.as_deref().map(range::duration).transpose();
    let deadline = deadline.map_err(|error| ResolveError::Deadline {
        name: name.clone(),
        error,
    })?;
    let mut faults = probe.metadata.iter();
    if let Some(error) = faults.find_map(|(key, values)| values::binary_fault(key, values)) {
        return Err(ResolveError::Metadata { name, error });
    }
    let script = script::script(probe.script.as_ref()).map_err(|error| ResolveError::Script {
        name: name.clone(),
        error: error.to_string(),
    })?;
    let stream = probe.stream.as_ref().map(stream).transpose();
    let stream = stream.map_err(|error| ResolveError::Stream {
        name: name.clone(),
        error,
    })?;
    let load = load(scenario, &probe, &expect, rates);
    let request = Request {
        call: probe.call,
        form: form(probe.web, probe.http),
        browser: probe.browser,
        from: probe.from,
        to: probe.to,
        authority: probe.authority,
        messages: messages(probe.send),
        metadata: probe.metadata,
        per_call: probe.per_call,
        script,
        stream,
        pad: probe.pad,
        deadline,
        tls: probe.tls,
    };
    Ok(ResolvedProbe {
        name,
        request,
        load,
        expect,
        rates,
    })
}

/// Default number of calls: what the statistical tests may need plus a reserve, since a call that
/// no application answers is not a sample; enough for exact matchers beside them; and one for each
/// value of a key. The run stops as soon as it is decided.
fn planned(
    tests: Option<u64>,
    keys: Option<u64>,
    expect: &ResolvedExpect,
    rates: Rates,
) -> Option<u64> {
    let reserved = tests.map(|tests| tests.max(exact_floor(expect, rates)) + tests / 10 + 8);
    reserved.max(keys)
}

fn form(web: Option<Web>, http: Option<Http>) -> Form {
    let http = http.map(Form::from);
    http.or(web.map(Form::from)).unwrap_or_default()
}

/// The stream plan for the caller.
///
/// # Errors
/// A pause that is not a valid duration.
pub fn stream(stream: &Stream) -> Result<StreamPlan, ValueError> {
    let millis = |text: &Option<String>| match text {
        Some(text) => range::duration(text).map(|time| Some(time.as_millis() as u64)),
        None => Ok(None),
    };
    Ok(StreamPlan {
        messages: stream.messages,
        sizes: stream.sizes.clone(),
        gap_ms: millis(&stream.gap)?.unwrap_or(0),
        close: stream.close,
        window: stream.window,
        read_gap_ms: millis(&stream.read_gap)?.unwrap_or(0),
        ping_ms: millis(&stream.ping)?,
    })
}

fn messages(send: Value) -> Vec<Value> {
    match send {
        Value::Null => Vec::new(),
        Value::Array(all) => all,
        one => vec![one],
    }
}

/// Number of calls that the statistical matchers may need, given the pods of the scenario.
fn needed(
    scenario: &Scenario,
    expect: &ResolvedExpect,
    connections: u32,
    rates: Rates,
) -> Option<u64> {
    let pods = pods(scenario);
    let busy = Some("busy");
    let cap = Monitor::new(expect, &pods, busy, rates).cap()?;
    // The first call of each connection has nothing to be compared with.
    let extra = if expect.get::<Pinned>().is_some() {
        u64::from(connections).saturating_sub(1)
    } else {
        0
    };
    Some(cap + extra)
}

/// Placeholder pods by workload and by `app`, in the largest numbers that the workloads and `scale`
/// steps reach.
pub fn pods(scenario: &Scenario) -> Pods {
    let mut pods = Pods::new();
    for workload in &scenario.workloads {
        let scaled = scenario.steps.iter().filter_map(|step| match step {
            Step::Scale(scale) if scale.workload == workload.name => Some(scale.replicas),
            _ => None,
        });
        let count = scaled.chain([workload.pods()]).max().unwrap_or(1);
        let names = (0..count).map(|at| format!("{}-{at}", workload.name));
        let names: Vec<String> = names.collect();
        if let Some(app) = workload.app.as_ref().filter(|app| **app != workload.name) {
            pods.entry(app.clone()).or_default().extend(names.clone());
        }
        pods.entry(workload.name.clone()).or_default().extend(names);
    }
    pods
}
