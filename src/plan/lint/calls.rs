//! Calls that cannot be made: an unknown host or port, or a plan that every caller rejects.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use testbed::caller::{self, Refusal};

use crate::{
    fixture::workload,
    plan::{
        resolve::{ResolvedProbe, resolve_probe},
        step_probes,
    },
    scenario::{
        finding::{Finding, did_you_mean},
        loaded::LoadedScenario,
        manifest::{Names, expand},
        model::Step,
        objects::values,
        verb::spec::{Fate, File},
        workload_file,
    },
    text::listed,
    verdict::{Rates, matcher::produced_by::ProducedBy, producer::Producer},
};

type Findings = Vec<Finding>;

/// Stand-ins for what placeholders mean in a run.
const NAMES: Names<'_> = Names {
    namespace: "the-namespace",
    host: "the-host.example.test",
    gateway: "ingressgateway",
};
/// Image of the caller whose rules this module knows.
const TESTBED: &str = "local/testbed";

pub fn lint(loaded: &LoadedScenario, rates: Rates, findings: &mut Findings) {
    let net = Net::of(loaded);
    let mut reported = BTreeSet::new();
    let mut each =
        |path: &str, row_path: &dyn Fn(&str) -> Option<String>, runs: Vec<ResolvedProbe>| {
            for run in &runs {
                for (field, message, help, fatal) in problems(loaded, &net, run) {
                    // The override of a contrast, the case, or the probe itself.
                    let row = row_path(&run.name).map(|row| format!("{row}.with.{field}"));
                    let with = format!("{path}.with.{field}");
                    let own = format!("{}.{field}", probe_path(&run.name));
                    let places = [Some(with), row, Some(own)].into_iter().flatten();
                    let position = places
                        .into_iter()
                        .find(|position| loaded.places.has(position));
                    let position = position.unwrap_or_else(|| probe_path(&run.name));
                    if reported.insert((position.clone(), message.clone())) {
                        let finding = loaded.at_value(&position, message, help);
                        findings.push(if fatal { finding } else { finding.warning() });
                    }
                }
            }
        };
    let row = |name: &str| row_path(loaded, name);
    for name in loaded.scenario.probes.keys() {
        let runs = resolve_probe(&loaded.scenario, name, rates);
        each("", &row, runs.unwrap_or_default());
    }
    for (at, step) in loaded.scenario.steps.iter().enumerate() {
        if let Step::Contrast(_) = step {
            let runs = step_probes(&loaded.scenario, step, rates);
            each(
                &format!("steps[{at}].contrast"),
                &row,
                runs.unwrap_or_default(),
            );
        }
    }
}

/// `probes.NAME` of a run called `NAME` or `NAME[CASE]`.
fn probe_path(run: &str) -> String {
    let name = run.split('[').next().unwrap_or(run);
    format!("probes.{name}")
}

/// `probes.NAME.cases[N]` of a run called `NAME[CELL]`.
fn row_path(loaded: &LoadedScenario, run: &str) -> Option<String> {
    let (name, case) = run.strip_suffix(']')?.split_once('[')?;
    let rows = &loaded.scenario.probes.get(name)?.cases;
    let at = rows.iter().position(|row| row.name == case)?;
    Some(format!("probes.{name}.cases[{at}]"))
}

/// Field, message, help, and whether it is an error.
type Problem = (&'static str, String, String, bool);

fn problems(loaded: &LoadedScenario, net: &Net, run: &ResolvedProbe) -> Vec<Problem> {
    let mut found = Vec::new();
    let world = &loaded.scenario.workloads;
    let caller = world
        .iter()
        .find(|workload| workload.name == run.request.from);
    let text =
        caller.and_then(|caller| Some(workload_file::workload(loaded, &caller.template).ok()?.1));
    let by_testbed = text.is_some_and(|text| text.contains(TESTBED));
    let plan = || run.call_plan("lint", address(&expand(&run.request.to, &NAMES)), &NAMES);
    if by_testbed && let Err(refusal) = caller::check(plan()) {
        found.extend(refused(net, run, &refusal));
    }
    if found.is_empty() && run.request.browser.is_none() {
        found.extend(net.unreachable(run));
    }
    found
}

/// Expands the short name of the ingress gateway.
fn address(to: &str) -> String {
    match to.strip_prefix("gateway") {
        Some("") => "gateway:80".to_owned(),
        _ => to.to_owned(),
    }
}

fn refused(net: &Net, run: &ResolvedProbe, refusal: &Refusal) -> Option<Problem> {
    let (field, help) = match refusal {
        // `names` checks methods in more detail; `remapped` checks the number of values.
        Refusal::MethodForm { .. } | Refusal::Service { .. } | Refusal::Method { .. } => {
            return None;
        }
        Refusal::Metadata { reason, .. } if reason.starts_with("the number of values is 0") => {
            return None;
        }
        Refusal::Message { kind, .. } => ("send", fields(kind)),
        Refusal::Count { .. } => ("send", "write one message, not a list".to_owned()),
        Refusal::Metadata { .. } => (
            "metadata",
            "names are lower-case letters, digits, `-`, `_` and `.`; values are printable ASCII"
                .to_owned(),
        ),
        Refusal::Verb { .. } | Refusal::Path { .. } => {
            ("http", "write it as in an HTTP request line".to_owned())
        }
        Refusal::Address { .. } => ("to", net.ports_help(&run.request.to)),
        Refusal::Authority { .. } if run.request.authority.is_none() => {
            ("to", net.ports_help(&run.request.to))
        }
        Refusal::Authority { .. } => (
            "authority",
            "write a host or host:port without spaces".to_owned(),
        ),
        Refusal::Stream { .. } => (
            "stream",
            "see docs/scenario-format.md for the streaming methods".to_owned(),
        ),
        Refusal::Bound(message) => (
            bounded(message),
            "reduce the value, or set it to at least 1".to_owned(),
        ),
        Refusal::Tls { .. } => (
            "tls",
            "see docs/scenario-format.md for its fields".to_owned(),
        ),
    };
    Some((
        field,
        format!("no caller can send this: {refusal}"),
        help,
        true,
    ))
}

/// The field of a probe whose bound this message is about.
fn bounded(message: &str) -> &'static str {
    let fields = ["times", "connections", "streams", "rate", "stream", "pad"];
    let found = fields.into_iter().find(|field| message.starts_with(field));
    found.unwrap_or("script")
}

/// Fields of a message type of the test servers.
fn fields(message: &str) -> String {
    let found = testbed::proto::pool().get_message_by_name(message);
    let names: Vec<String> = found
        .iter()
        .flat_map(|message| {
            message
                .fields()
                .map(|field| field.json_name().to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    format!("{message} has the fields {}", listed(&names))
}

/// The hosts that a caller can address at any point of this scenario.
#[derive(Debug, Default)]
struct Net {
    /// Ports of Services by name, including those that steps apply.
    services: BTreeMap<String, BTreeSet<u64>>,
    /// Ports of ServiceEntry hosts; a host may begin with `*.`.
    entries: BTreeMap<String, BTreeSet<u64>>,
    /// Hosts that routes and gateways name. How they become reachable is not checked.
    routed: BTreeSet<String>,
    /// A file could not be read: it may define hosts that seem unknown.
    partial: bool,
}

impl Net {
    fn of(loaded: &LoadedScenario) -> Self {
        let mut net = Self::default();
        for workload in &loaded.scenario.workloads {
            let Ok((_, text)) = workload_file::workload(loaded, &workload.template) else {
                net.partial = true;
                continue;
            };
            match values(&text) {
                Ok(documents) => {
                    let made = workload::objects(workload, &documents, "lint");
                    made.iter().for_each(|object| net.add(object));
                }
                Err(_) => net.partial = true,
            }
        }
        let mut read = BTreeSet::new();
        for step in &loaded.scenario.steps {
            let file = step.file().filter(|file| file.fate == Fate::Taken);
            let Some(File { name, .. }) = file else {
                continue;
            };
            if !read.insert(name) {
                continue;
            }
            let text = loaded.config(name).ok().flatten();
            match text.and_then(|file| values(&file.text).ok()) {
                Some(objects) => objects.iter().for_each(|object| net.add(object)),
                None => net.partial = true,
            }
        }
        net
    }

    fn add(&mut self, object: &Value) {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let (kind, name) = (text("/kind").unwrap_or_default(), text("/metadata/name"));
        let ports = |pointer: &str, key: &str| -> BTreeSet<u64> {
            let all = object.pointer(pointer).and_then(Value::as_array);
            all.into_iter()
                .flatten()
                .filter_map(|port| port[key].as_u64())
                .collect()
        };
        let hosts = |pointer: &str| -> Vec<String> {
            let all = object.pointer(pointer).and_then(Value::as_array);
            let all = all.into_iter().flatten().filter_map(Value::as_str);
            all.map(|host| expand(host, &NAMES)).collect()
        };
        match (kind, name) {
            ("Service", Some(name)) => {
                let known = self.services.entry(expand(name, &NAMES)).or_default();
                known.extend(ports("/spec/ports", "port"));
            }
            ("ServiceEntry", _) => {
                let ports = ports("/spec/ports", "number");
                for host in hosts("/spec/hosts") {
                    self.entries.entry(host).or_default().extend(&ports);
                }
            }
            // A Gateway API Gateway may get its own Deployment and Service.
            ("Gateway", Some(name)) if object.pointer("/spec/gatewayClassName").is_some() => {
                let service = format!(
                    "{name}-{}",
                    text("/spec/gatewayClassName").unwrap_or_default()
                );
                let known = self.services.entry(service).or_default();
                known.extend(ports("/spec/listeners", "port"));
            }
            ("VirtualService", _) => self.routed.extend(hosts("/spec/hosts")),
            ("GRPCRoute" | "HTTPRoute" | "TLSRoute", _) => {
                self.routed.extend(hosts("/spec/hostnames"))
            }
            _ => {}
        }
    }

    /// What is wrong with the destination of a run's calls; `None` where the client itself is
    /// expected to fail.
    fn unreachable(&self, run: &ResolvedProbe) -> Option<Problem> {
        let who = run.expect.get::<ProducedBy>().map(|claim| claim.0);
        if self.partial || who == Some(Producer::Client) {
            return None;
        }
        let to = expand(&run.request.to, &NAMES);
        let to = to.strip_prefix("xds:///").unwrap_or(&to);
        let (host, port) = to.rsplit_once(':')?;
        let port: u64 = port.parse().ok()?;
        if host == "gateway" || host.parse::<std::net::IpAddr>().is_ok() || host.starts_with('[') {
            return None;
        }
        if let Some((name, ports)) = self.service(host) {
            if ports.contains(&port) {
                return None;
            }
            let message = format!("'{name}' has no port {port}");
            return Some(("to", message, self.ports_help(&run.request.to), true));
        }
        if let Some(ports) = self.entry(host) {
            let message = format!("the ServiceEntry of '{host}' has no port {port}");
            let help = format!("its ports: {}", numbers(ports));
            return (!ports.contains(&port)).then_some(("to", message, help, true));
        }
        let routed = self.routed.iter().any(|known| covers(known, host));
        if routed || host.contains('.') && self.is_below_a_service(host) {
            return None;
        }
        let known: Vec<&str> = self.services.keys().map(String::as_str).collect();
        let message = format!("unknown host '{host}'");
        if host.contains('.') {
            let help = "the host is outside the scenario, so the verdict depends on who answers there; a ServiceEntry would make it part of the scenario";
            return Some(("to", message, help.to_owned(), false));
        }
        Some(("to", message, did_you_mean(host, &known), true))
    }

    /// The Service that a host resolves to in the scenario's namespace.
    fn service(&self, host: &str) -> Option<(&str, &BTreeSet<u64>)> {
        let short = short(host);
        let (name, ports) = self.services.get_key_value(short)?;
        Some((name, ports))
    }

    /// A pod of a headless Service (`store-0.store`).
    fn is_below_a_service(&self, host: &str) -> bool {
        let parent = short(host).split_once('.').map(|(_, parent)| parent);
        parent.is_some_and(|parent| self.services.contains_key(parent))
    }

    fn entry(&self, host: &str) -> Option<&BTreeSet<u64>> {
        let found = self.entries.iter().find(|(known, _)| covers(known, host));
        found.map(|(_, ports)| ports)
    }

    /// Valid destinations, for the help of an unknown address.
    fn ports_help(&self, to: &str) -> String {
        let host = to.rsplit_once(':').map_or(to, |(host, _)| host);
        if let Some((name, ports)) = self.service(&expand(host, &NAMES)) {
            return format!("ports of '{name}': {}", numbers(ports));
        }
        let all = self.services.iter();
        let all = all.map(|(name, ports)| format!("{name} ({})", numbers(ports)));
        let all: Vec<String> = all.take(20).collect();
        match all.is_empty() {
            true => "write host:port, or `gateway`".to_owned(),
            false => format!(
                "write host:port, or `gateway`; Services (ports): {}",
                all.join(", ")
            ),
        }
    }
}

fn short(host: &str) -> &str {
    let host = host.trim_end_matches('.');
    let host = host.strip_suffix(".svc.cluster.local").unwrap_or(host);
    let host = host.strip_suffix(".svc").unwrap_or(host);
    let own = host.strip_suffix(NAMES.namespace);
    own.and_then(|host| host.strip_suffix('.')).unwrap_or(host)
}

fn covers(known: &str, host: &str) -> bool {
    match known.strip_prefix('*') {
        Some(end) => host.ends_with(end),
        None => known == host || short(known) == short(host),
    }
}

fn numbers(ports: &BTreeSet<u64>) -> String {
    let all: Vec<String> = ports.iter().map(u64::to_string).collect();
    match all.is_empty() {
        true => "none".to_owned(),
        false => all.join(", "),
    }
}
