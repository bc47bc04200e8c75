//! Rules for a caller's TLS settings.

use crate::{
    plan::resolve::of_case,
    scenario::{
        finding::Finding,
        loaded::LoadedScenario,
        model::{Probe, tls::Tls},
    },
};

type Findings = Vec<Finding>;

pub fn lint(loaded: &LoadedScenario, findings: &mut Findings) {
    for (name, probe) in &loaded.scenario.probes {
        let path = format!("probes.{name}");
        if probe.cases.is_empty() {
            one(loaded, &path, probe, findings);
        }
        for (at, row) in probe.cases.iter().enumerate() {
            let path = format!("{path}.cases[{at}]");
            one(loaded, &path, &of_case(probe, row), findings);
        }
    }
}

/// Checks a probe, or a probe merged with one of its cases.
fn one(loaded: &LoadedScenario, path: &str, probe: &Probe, findings: &mut Findings) {
    if let Some(tls) = &probe.tls {
        version(loaded, path, tls, findings);
    }
}

fn version(loaded: &LoadedScenario, path: &str, tls: &Tls, findings: &mut Findings) {
    if let Some(version) = tls
        .version
        .as_deref()
        .filter(|v| !["1.2", "1.3"].contains(v))
    {
        let message = format!("unsupported TLS version '{version}'");
        let help = "write \"1.2\" or \"1.3\", or omit it to allow both";
        findings.push(loaded.at(path, message, help));
    }
}
