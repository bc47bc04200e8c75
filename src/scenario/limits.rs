//! Limits on what a scenario may request. Larger values are rejected before anything is built from
//! them: lint, plan or mesh would never finish.

use serde_json::Value;

use super::{
    finding::Finding,
    loaded::LoadedScenario,
    model::{Override, Probe, Workload, stream::Stream},
    range, script,
    verb::{Step, spec::Limit},
};

/// Workloads of a scenario.
const WORKLOADS: usize = 50;
/// Pods of one workload, and of all of them together.
const PODS: u32 = 100;
const ALL_PODS: u32 = 300;
const PROBES: usize = 100;
const STEPS: usize = 300;
/// Cases of all probes together.
const CASES: usize = 500;
/// Probe runs over all steps; each case is one run.
const RUNS: usize = 1000;
/// Entries of one list (`needs`, `proves`, `must-fail`, …) and keys of one map (`labels`,
/// `metadata`, …).
const WORDS: usize = 200;
/// Calls of one run of a probe; values of a `per-call` key.
const CALLS: u64 = 1_000_000;
const CONNECTIONS: u64 = 1000;
/// Calls in flight: connections × streams.
const IN_FLIGHT: u64 = 10_000;
/// Calls per second.
const RATE: f64 = 100_000.0;
/// Messages of one stream.
const MESSAGES: u64 = 1_000_000;
/// Bytes of one message, of all messages of one stream, of added metadata, of a flow-control window
/// (RFC 9113, section 6.9.1).
const MESSAGE_BYTES: u64 = 64 << 20;
const STREAM_BYTES: u64 = 1 << 30;
const PAD_BYTES: u64 = 1 << 20;
const WINDOW_BYTES: u64 = (1 << 31) - 1;
/// Any duration.
const MILLISECONDS: u64 = 3_600_000;
/// Pushes of `churn`, rounds of `compare`.
const ROUNDS: u64 = 1000;
/// A workload's name: pod names add 17 characters to it, and host names have at most 63.
const NAME: usize = 40;
/// Label values (Kubernetes), and names that become part of file names.
const LABEL: usize = 63;

/// Checks everything that needs no other file, including the names of other files.
///
/// # Errors
/// A finding for each value beyond its limit.
pub fn before_files(loaded: &LoadedScenario) -> Result<(), Vec<Finding>> {
    let mut check = Check::of(loaded);
    check.lists();
    for (at, workload) in loaded.scenario.workloads.iter().enumerate() {
        check.workload(&format!("workloads[{at}]"), workload);
    }
    let mut cases = 0;
    for (name, probe) in &loaded.scenario.probes {
        let path = format!("probes.{name}");
        cases += probe.cases.len();
        if cases > CASES {
            let message = format!("more than {CASES} cases in this scenario");
            check.refuse(
                &format!("{path}.cases"),
                message,
                "split it into several scenarios",
            );
            break;
        }
        check.probe(&path, probe);
    }
    for (at, step) in loaded.scenario.steps.iter().enumerate() {
        check.step(at, step);
    }
    check.runs();
    check.end()
}

/// Checks the number of pods, including the `replicas` of workload files.
///
/// # Errors
/// A finding for each value beyond its limit.
pub fn pods(loaded: &LoadedScenario) -> Result<(), Vec<Finding>> {
    let mut check = Check::of(loaded);
    let mut all: u32 = 0;
    for (at, workload) in loaded.scenario.workloads.iter().enumerate() {
        let path = format!("workloads[{at}]");
        let pods = workload.pods();
        if workload.replicas.is_none() {
            check.most(
                &format!("{path}.template"),
                "replicas in its file",
                pods.into(),
                PODS.into(),
            );
        }
        all = all.saturating_add(pods);
        if all > ALL_PODS {
            let message = format!("more than {ALL_PODS} pods in this scenario");
            check.refuse(&path, message, "ask for fewer replicas");
            break;
        }
    }
    check.end()
}

struct Check<'a> {
    loaded: &'a LoadedScenario,
    findings: Vec<Finding>,
}

impl<'a> Check<'a> {
    fn of(loaded: &'a LoadedScenario) -> Self {
        Self {
            loaded,
            findings: Vec::new(),
        }
    }

    fn end(self) -> Result<(), Vec<Finding>> {
        if self.findings.is_empty() {
            Ok(())
        } else {
            Err(self.findings)
        }
    }

    fn refuse(&mut self, path: &str, message: impl Into<String>, help: impl Into<String>) {
        self.findings
            .push(self.loaded.at_value(path, message, help));
    }

    /// Checks a number against its maximum.
    fn most(&mut self, path: &str, what: &str, value: u64, most: u64) {
        if value > most {
            let help = format!("at most {most}: a larger number would never finish");
            self.refuse(path, format!("{value} {what} are too many"), help);
        }
    }

    fn count(&mut self, path: &str, what: &str, value: u64, most: u64) {
        if value == 0 {
            let help = format!("write a number from 1 to {most}, or leave it out");
            self.refuse(
                path,
                format!("no {what} at all: nothing would be observed"),
                help,
            );
        }
        self.most(path, what, value, most);
    }

    fn length(&mut self, path: &str, what: &str, length: usize, most: usize) {
        if length > most {
            let message = format!("{length} {what} are too many");
            self.refuse(path, message, format!("at most {most}: split the scenario"));
        }
    }

    fn time(&mut self, path: &str, text: Option<&str>) {
        let Some(text) = text else { return };
        match range::duration(text) {
            Err(error) => self.refuse(path, error.to_string(), "units are us, ms, s, m and h"),
            Ok(time) if time.as_millis() > u128::from(MILLISECONDS) => {
                let message = format!("'{text}' is longer than an hour");
                self.refuse(path, message, "durations may be at most one hour");
            }
            Ok(_) => {}
        }
    }

    /// Checks a value that is part of a file name.
    fn file_word(&mut self, path: &str, word: &str) {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let bad = word.is_empty()
            || word.len() > LABEL
            || !word.chars().all(plain)
            || word.starts_with('.')
            || word.contains("..");
        if bad {
            let help = "use letters, digits and dashes only: the file is beside the scenario";
            self.refuse(path, format!("'{word}' is not a valid file name"), help);
        }
    }

    /// Checks a name of Kubernetes objects (a DNS label that starts with a letter, RFC 1035), short
    /// enough for the names derived from it.
    fn object_name(&mut self, path: &str, name: &str) {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let ok = name.len() <= NAME
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.ends_with(|c: char| c != '-')
            && name.chars().all(plain);
        if !ok {
            let help = format!(
                "use at most {NAME} lower-case letters, digits and dashes, starting with a letter: Deployments and Services are named after it"
            );
            self.refuse(
                path,
                format!("'{name}' cannot be the name of a workload"),
                help,
            );
        }
    }

    fn lists(&mut self) {
        let scenario = &self.loaded.scenario;
        self.length(
            "workloads",
            "workloads",
            scenario.workloads.len(),
            WORKLOADS,
        );
        self.length("probes", "probes", scenario.probes.len(), PROBES);
        self.length("steps", "steps", scenario.steps.len(), STEPS);
        for (key, length) in [
            ("source", scenario.source.len()),
            ("proves", scenario.proves.len()),
            ("needs", scenario.needs.len()),
            ("labels", scenario.labels.len()),
        ] {
            self.length(key, "entries", length, WORDS);
        }
    }

    fn workload(&mut self, path: &str, workload: &Workload) {
        self.object_name(&format!("{path}.name"), &workload.name);
        self.file_word(&format!("{path}.template"), &workload.template);
        if let Some(app) = &workload.app {
            self.object_name(&format!("{path}.app"), app);
        }
        if let Some(version) = &workload.version {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            let edge = |c: char| c.is_ascii_alphanumeric();
            let ok = version.len() <= LABEL
                && version.chars().all(plain)
                && version.starts_with(edge)
                && version.ends_with(edge);
            if !ok {
                let help =
                    "use at most 63 letters, digits, dashes and dots: it becomes a label value";
                let message = format!("invalid version '{version}'");
                self.refuse(&format!("{path}.version"), message, help);
            }
        }
        let replicas = workload.replicas.unwrap_or_default();
        self.most(
            &format!("{path}.replicas"),
            "replicas",
            replicas.into(),
            PODS.into(),
        );
        self.length(
            &format!("{path}.args"),
            "arguments",
            workload.args.len(),
            WORDS,
        );
        let annotations = workload.annotations.len();
        self.length(
            &format!("{path}.annotations"),
            "annotations",
            annotations,
            WORDS,
        );
    }

    fn probe(&mut self, path: &str, probe: &Probe) {
        self.numbers(path, probe);
        self.length(
            &format!("{path}.metadata"),
            "keys",
            probe.metadata.len(),
            WORDS,
        );
        for (key, values) in &probe.per_call {
            self.most(&format!("{path}.per-call.{key}"), "values", *values, CALLS);
        }
        self.script(&format!("{path}.script"), probe.script.as_ref());
        self.stream(&format!("{path}.stream"), probe.stream.as_ref());
        self.time(&format!("{path}.deadline"), probe.deadline.as_deref());
        for (at, row) in probe.cases.iter().enumerate() {
            self.with(&format!("{path}.cases[{at}].with"), &row.with, probe);
        }
    }

    fn numbers(&mut self, path: &str, probe: &Probe) {
        if let Some(times) = probe.times {
            self.count(&format!("{path}.times"), "calls", times, CALLS);
        }
        let (connections, streams) = (u64::from(probe.connections), u64::from(probe.streams));
        self.count(
            &format!("{path}.connections"),
            "connections",
            connections,
            CONNECTIONS,
        );
        self.count(&format!("{path}.streams"), "streams", streams, IN_FLIGHT);
        let flight = connections.saturating_mul(streams);
        self.most(
            &format!("{path}.streams"),
            "calls in flight",
            flight,
            IN_FLIGHT,
        );
        self.most(
            &format!("{path}.pad"),
            "bytes",
            probe.pad.unwrap_or(0).into(),
            PAD_BYTES,
        );
        if let Some(rate) = probe.rate
            && !(rate > 0.0 && rate <= RATE)
        {
            let help = format!("write calls per second: more than 0, at most {RATE}");
            self.refuse(
                &format!("{path}.rate"),
                format!("invalid rate {rate}"),
                help,
            );
        }
    }

    /// Checks the overrides of a probe.
    fn with(&mut self, path: &str, with: &Override, probe: &Probe) {
        if with.times.is_some()
            || with.connections.is_some()
            || with.streams.is_some()
            || with.pad.is_some()
        {
            let mut full = probe.clone();
            full.rate = None;
            full.pad = with.pad;
            full.times = with.times;
            full.connections = with.connections.unwrap_or(probe.connections);
            full.streams = with.streams.unwrap_or(probe.streams);
            self.numbers(path, &full);
        }
        let metadata = with.metadata.as_ref().map_or(0, |all| all.len());
        self.length(&format!("{path}.metadata"), "keys", metadata, WORDS);
        self.script(&format!("{path}.script"), with.script.as_ref());
        self.stream(&format!("{path}.stream"), with.stream.as_ref());
        self.time(&format!("{path}.deadline"), with.deadline.as_deref());
    }

    /// A script that cannot be read is reported by other rules.
    fn script(&mut self, path: &str, script: Option<&Value>) {
        let Ok(Some(script)) = script::script(script) else {
            return;
        };
        for (key, value) in [
            ("delay_ms", script.delay_ms),
            ("gap_ms", script.gap_ms),
            ("hold_ms", script.hold_ms),
            ("read_gap_ms", script.read_gap_ms),
        ] {
            self.most(
                &format!("{path}.{key}"),
                "milliseconds",
                value,
                MILLISECONDS,
            );
        }
        let number = |value: Option<u32>| u64::from(value.unwrap_or(0));
        let messages = number(script.messages);
        for (key, what, value, most) in [
            ("fail_first", "attempts", number(script.fail_first), CALLS),
            (
                "finish_after",
                "messages",
                number(script.finish_after),
                MESSAGES,
            ),
            ("messages", "messages", messages, MESSAGES),
            ("size", "bytes", number(script.size), MESSAGE_BYTES),
            ("pad", "bytes", number(script.pad), PAD_BYTES),
        ] {
            self.most(&format!("{path}.{key}"), what, value, most);
        }
        let bytes = number(script.size).saturating_mul(messages.max(1));
        self.most(
            &format!("{path}.messages"),
            "bytes in one stream",
            bytes,
            STREAM_BYTES,
        );
    }

    fn stream(&mut self, path: &str, stream: Option<&Stream>) {
        let Some(stream) = stream else { return };
        for (key, time) in [
            ("gap", &stream.gap),
            ("read-gap", &stream.read_gap),
            ("ping", &stream.ping),
        ] {
            self.time(&format!("{path}.{key}"), time.as_deref());
        }
        let messages = u64::from(stream.messages.unwrap_or(1));
        self.most(&format!("{path}.messages"), "messages", messages, MESSAGES);
        self.length(&format!("{path}.sizes"), "sizes", stream.sizes.len(), WORDS);
        let window = u64::from(stream.window.unwrap_or(0));
        self.most(&format!("{path}.window"), "bytes", window, WINDOW_BYTES);
        let sizes = stream.sizes.iter().map(|size| u64::from(*size));
        let largest = sizes.clone().max().unwrap_or(0);
        self.most(
            &format!("{path}.sizes"),
            "bytes in one message",
            largest,
            MESSAGE_BYTES,
        );
        let turn: u64 = sizes.sum();
        let turns = messages.div_ceil(stream.sizes.len().max(1) as u64);
        let bytes = turn.saturating_mul(turns);
        self.most(
            &format!("{path}.messages"),
            "bytes in one stream",
            bytes,
            STREAM_BYTES,
        );
    }

    fn step(&mut self, index: usize, step: &Step) {
        for limit in step.limits() {
            let path = |field: &str| step.path(index, field);
            match limit {
                Limit::File(field, word) => self.file_word(&path(field), word),
                Limit::Time(field, text) => self.time(&path(field), Some(text)),
                Limit::Pods(field, what, count) => {
                    self.most(&path(field), what, count.into(), PODS.into());
                }
                Limit::Rounds(field, what, count) => {
                    self.count(&path(field), what, count.into(), ROUNDS);
                }
                Limit::Turns(field, what, count) => {
                    self.most(&path(field), what, count.into(), ROUNDS);
                }
                Limit::List(field, what, length) => {
                    self.length(&path(field), what, length, WORDS);
                }
                Limit::Script(field, script) => self.script(&path(field), script),
                Limit::With(field, with, probe) => {
                    if let Some(probe) = self.loaded.scenario.probes.get(probe) {
                        self.with(&path(field), with, probe);
                    }
                }
            }
        }
    }

    /// Cases of a probe times the steps that run it.
    fn runs(&mut self) {
        let scenario = &self.loaded.scenario;
        let rows = |name: &str| {
            scenario
                .probes
                .get(name)
                .map_or(1, |probe| probe.cases.len().max(1))
        };
        let mut runs = 0;
        for (at, step) in scenario.steps.iter().enumerate() {
            let each = step.runs().into_iter().map(|run| match run.cases {
                [] => rows(run.probe),
                cases => cases.len(),
            });
            runs += each.sum::<usize>();
            if runs > RUNS {
                let message = format!("more than {RUNS} probe runs up to this step");
                let help = "split it into several scenarios: each case is a run in every step that uses it";
                return self.refuse(&format!("steps[{at}]"), message, help);
            }
        }
    }
}
