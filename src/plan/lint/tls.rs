//! TLS: words that mean nothing, certificates that nobody makes, expectations without a handshake.

use crate::{
    plan::resolve::of_cell,
    scenario::{
        finding::{Finding, did_you_mean},
        loaded::Loaded,
        model::{
            Probe, Step,
            tls::{Certificate, Tls},
        },
    },
};

type Findings = Vec<Finding>;

pub fn lint(loaded: &Loaded, findings: &mut Findings) {
    for (name, probe) in &loaded.scenario.probes {
        let path = format!("probes.{name}");
        if probe.vary.is_empty() {
            one(loaded, &path, probe, findings);
        }
        for (at, row) in probe.vary.iter().enumerate() {
            let path = format!("{path}.vary[{at}]");
            one(loaded, &path, &of_cell(probe, row), findings);
        }
    }
}

/// A probe, or a probe with one row laid over it.
fn one(loaded: &Loaded, path: &str, probe: &Probe, findings: &mut Findings) {
    if let Some(tls) = &probe.tls {
        version(loaded, path, tls, findings);
    }
    let Some(wanted) = &probe.expect.tls else {
        return;
    };
    let place = format!("{path}.expect.tls");
    if probe.tls.is_none() {
        let help = "add `tls: {}` to the probe: without it the caller speaks plaintext";
        let message = "a handshake is expected, but the caller makes none";
        findings.push(loaded.at(&place, message, help));
    }
    let shown = wanted.alpn.is_some()
        || wanted.version.is_some()
        || wanted.names.is_some()
        || wanted.certificate.is_some();
    if wanted.refused.is_some() && shown {
        let help = "expect either `refused`, or what the handshake shows";
        let message = "a refused handshake that shows something";
        findings.push(loaded.at(&place, message, help));
    } else if wanted.refused.is_none() && !shown {
        let help = "name one of alpn, version, names, certificate, refused";
        findings.push(loaded.at(&place, "nothing is expected of the handshake", help));
    }
    if let Some(name) = &wanted.certificate {
        made(loaded, &place, name, findings);
    }
}

fn version(loaded: &Loaded, path: &str, tls: &Tls, findings: &mut Findings) {
    if let Some(version) = tls
        .version
        .as_deref()
        .filter(|v| !["1.2", "1.3"].contains(v))
    {
        let message = format!("the caller has no TLS {version}");
        let help = "write \"1.2\" or \"1.3\", or leave it out for both";
        findings.push(loaded.at(path, message, help));
    }
}

/// A step makes this certificate.
fn made(loaded: &Loaded, path: &str, name: &str, findings: &mut Findings) {
    let steps = loaded.scenario.steps.iter();
    let made = steps.filter_map(|step| match step {
        Step::Certificate(step) => Some(step.name()),
        _ => None,
    });
    let made: Vec<&str> = made.collect();
    if !made.contains(&name) {
        let message = format!("no step makes the certificate '{name}'");
        findings.push(loaded.at(path, message, did_you_mean(name, &made)));
    }
}

/// A `certificate` step.
pub fn certificate(loaded: &Loaded, path: &str, step: &Certificate, findings: &mut Findings) {
    if step.hosts.is_empty() {
        let help = "name at least one, e.g. `hosts: [\"${host}\"]`";
        let message = "a certificate without names is refused by every client";
        findings.push(loaded.at(path, message, help));
    }
}
