//! `meshproof explain`: what a scenario claims, why, how it is verified, and the error rates.

use std::fmt::Write as _;

use testbed::control::{Form, WebMode};

use super::{
    isolation::{Isolation, isolation},
    order::step_probes,
    resolve::{ResolveError, ResolvedProbe, resolve_probe},
};
use crate::{
    scenario::{
        dialect::Dialect,
        loaded::LoadedScenario,
        model::{Step, Workload, tls::Tls},
        reach,
        select::level_word,
    },
    verdict::{Rates, matcher::spec::Sample},
};

/// The explanation of a scenario as text.
///
/// # Errors
/// A probe that cannot be resolved; lint reports where.
pub fn explain(loaded: &LoadedScenario, rates: Rates) -> Result<String, ResolveError> {
    let scenario = &loaded.scenario;
    let mut text = String::new();
    head(&mut text, loaded);
    for workload in &scenario.workloads {
        let _ = writeln!(text, "  - {}", workload_words(workload));
    }
    let _ = writeln!(text, "\nSteps");
    for (number, step) in scenario.numbered_steps() {
        let _ = writeln!(text, "  {number}. {}", step.describe());
        if let Step::Contrast(_) = step {
            let runs = step_probes(scenario, step, rates)?;
            let _ = writeln!(text, "     in {} run(s)", runs.len());
        }
    }
    if let Some(reason) = &scenario.no_contrast {
        let _ = writeln!(text, "\nNo contrast: {}", reason.trim());
    }
    let _ = writeln!(text, "\nExpectations");
    for name in scenario.probes.keys() {
        for run in resolve_probe(scenario, name, rates)? {
            probe(&mut text, &run, rates);
        }
    }
    Ok(text)
}

fn head(text: &mut String, loaded: &LoadedScenario) {
    let scenario = &loaded.scenario;
    let _ = writeln!(text, "{}\n{}\n", loaded.id, scenario.title);
    for line in scenario.why.trim().lines() {
        let _ = writeln!(text, "  {}", line.trim());
    }
    let _ = writeln!(text, "\nSources: {}", scenario.source.join("; "));
    let _ = writeln!(text, "Proves:  {}", scenario.proves.join(", "));
    let _ = writeln!(text, "Level:   {}", level_word(scenario.level));
    if loaded.dialect != Dialect::Istio {
        let _ = writeln!(text, "Dialect: {}", loaded.dialect.name());
    }
    if !scenario.needs.is_empty() {
        let _ = writeln!(text, "Needs:   {} (else SKIP)", scenario.needs.join(", "));
    }
    if let Some(reason) = reach::serial(loaded) {
        let _ = writeln!(text, "Serial:  nothing runs beside it: {reason}");
    }
    let Isolation { private, own } = isolation(loaded);
    if let Some(reason) = &private {
        let _ = writeln!(
            text,
            "Private: no other scenario uses its namespace: {reason}"
        );
    }
    for (workload, reason) in &own {
        let _ = writeln!(
            text,
            "Own:     no other scenario uses the pods of {workload}: {reason}"
        );
    }
    let _ = writeln!(text, "\nWorkloads");
}

fn workload_words(workload: &Workload) -> String {
    let replicas = workload.replicas.map(|n| format!(", {n} replicas"));
    let version = workload.version.as_ref().map(|v| format!(", version {v}"));
    let app = workload
        .app
        .as_ref()
        .map(|a| format!(", behind the Service of {a}"));
    let sidecar = workload.sidecar.map(|on| {
        let word = if on { "with" } else { "without" };
        format!(", {word} sidecar")
    });
    let args = match workload.args.as_slice() {
        [] => None,
        args => Some(format!(", with {}", args.join(" "))),
    };
    let parts = [replicas, version, app, sidecar, args];
    let parts: String = parts.into_iter().flatten().collect();
    format!("{} (template {}){parts}", workload.name, workload.template)
}

fn probe(text: &mut String, run: &ResolvedProbe, rates: Rates) {
    let most = if run.expect.is_statistical() {
        "at most "
    } else {
        ""
    };
    let _ = writeln!(
        text,
        "  {}: {most}{} {} from {} to {}, {} connection(s)",
        run.name,
        run.load.times,
        call_words(run),
        if run.request.browser.is_some() {
            "a browser"
        } else {
            &run.request.from
        },
        run.request.to,
        run.load.connections
    );
    for (key, count) in &run.request.per_call {
        let _ = writeln!(text, "    ({key} cycles through {count} values)");
    }
    if let Some(tls) = &run.request.tls {
        let _ = writeln!(text, "    (over TLS: {})", tls_words(tls));
    }
    let sample = Sample {
        cap: run.load.needed.unwrap_or(run.load.times),
        per_call: &run.request.per_call,
        rates,
    };
    for matcher in &run.expect.matchers {
        let _ = writeln!(
            text,
            "    - {}: {} [{}]",
            matcher.name(),
            matcher.expected(),
            matcher.test(&sample)
        );
    }
}

fn call_words(run: &ResolvedProbe) -> String {
    if let Some(browser) = &run.request.browser {
        let (page, client) = (&browser.page, browser.client.as_str());
        return format!(
            "call(s) of {} by {client} on a page of {page}",
            run.request.call
        );
    }
    match &run.request.form {
        Form::Grpc => format!("call(s) of {}", run.request.call),
        Form::Web(web) => {
            let mode = match web.mode {
                WebMode::Binary => "binary",
                WebMode::Text => "text",
            };
            format!("gRPC-Web ({mode}) call(s) of {}", run.request.call)
        }
        Form::Http(http) => {
            let path = http.path.clone();
            let path = path.unwrap_or_else(|| format!("/{}", run.request.call));
            format!("HTTP request(s) {} {path}", http.method)
        }
    }
}

fn tls_words(tls: &Tls) -> String {
    let alpn = tls
        .alpn
        .as_ref()
        .map_or("h2".to_owned(), |all| match all.as_slice() {
            [] => "none".to_owned(),
            all => all.join(" then "),
        });
    let parts = [
        Some(format!("ALPN {alpn}")),
        tls.sni.as_ref().map(|name| format!("server name {name}")),
        tls.version
            .as_ref()
            .map(|version| format!("version {version}")),
        tls.roots.as_ref().map(|name| format!("trusting {name}")),
        tls.client
            .as_ref()
            .map(|name| format!("with a certificate of {name}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
