//! A behaviour in plain words: what is claimed, why, how it is shown, and how sure the answer is.

use std::fmt::Write as _;

use testbed::control::{Form, WebMode};

use super::resolve::{ResolveError, ResolvedProbe, resolve_contrast, resolve_probe};
use crate::{
    scenario::{
        dialect::Dialect,
        loaded::Loaded,
        model::{Contrast, Override, Step, Tell, Workload, tls::Tls, versus::Versus},
        reach,
        select::level_word,
    },
    verdict::{Rates, matcher::spec::Sample},
};

/// The whole explanation.
///
/// # Errors
/// A probe that does not resolve: lint says where.
pub fn explain(loaded: &Loaded, rates: Rates) -> Result<String, ResolveError> {
    let scenario = &loaded.scenario;
    let mut text = String::new();
    head(&mut text, loaded);
    for workload in &scenario.world {
        let _ = writeln!(text, "  - {}", workload_words(workload));
    }
    let _ = writeln!(text, "\nSteps");
    for (number, step) in scenario.numbered_steps() {
        let _ = writeln!(text, "  {number}. {}", step_words(step));
        if let Step::Contrast(contrast) = step {
            let runs = resolve_contrast(scenario, contrast, rates)?;
            let _ = writeln!(text, "     in {} run(s)", runs.len());
        }
    }
    if let Some(reason) = &scenario.no_contrast {
        let _ = writeln!(text, "\nNo contrast: {}", reason.trim());
    }
    let _ = writeln!(text, "\nWhat must be seen");
    for name in scenario.probes.keys() {
        for run in resolve_probe(scenario, name, rates)? {
            probe(&mut text, &run, rates);
        }
    }
    Ok(text)
}

fn head(text: &mut String, loaded: &Loaded) {
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
    if let Some(reason) = reach::alone(loaded) {
        let _ = writeln!(text, "Alone:   nothing runs beside it: {reason}");
    }
    let _ = writeln!(text, "\nWorld");
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
    format!("{} (as {}){parts}", workload.name, workload.uses)
}

/// A step in words; events carry the same.
pub fn step_words(step: &Step) -> String {
    match step {
        Step::Apply(name) => format!("apply {name} and wait until every proxy concerned has it"),
        Step::Delete(name) => format!("delete {name} and wait until no proxy has it"),
        Step::Probe(name) => format!("probe {name}"),
        Step::Contrast(contrast) => contrast_words(contrast),
        Step::Scale(scale) => format!("scale {} to {}", scale.workload, scale.replicas),
        Step::Converge(converge) => format!(
            "repeat probe {} until it holds, at most {}",
            converge.probe, converge.within
        ),
        Step::Background(name) => format!("keep probe {name} running to the end"),
        Step::Finish(finish) if finish.refutes.is_empty() => {
            format!("let the streams of {} end and judge them", finish.probe)
        }
        Step::Finish(finish) => format!(
            "contrast: let the streams of {} end; it must refute {}",
            finish.probe,
            finish.refutes.join(", ")
        ),
        Step::Tell(tell) => tell_words(tell),
        Step::Churn(churn) => format!(
            "apply and delete {} by turns, {} pushes",
            churn.apply, churn.times
        ),
        Step::Ready(ready) => format!(
            "{} pod(s) of {} become ready within {}",
            ready.pods, ready.workload, ready.within
        ),
        Step::Await(wait) => format!(
            "wait at most {} until {} at {} is {} or more",
            wait.within, wait.stat, wait.at, wait.at_least
        ),
        Step::Versus(versus) => versus_words(versus),
        Step::Restart(name) => format!("restart the pods of {name} one by one"),
        Step::Certificate(step) => format!(
            "write certificate {} into secret {} and wait until every gateway that uses it has it",
            step.name(),
            step.secret
        ),
        Step::Refused(step) => format!(
            "apply {}, which must be refused by {}",
            step.apply,
            step.by.words()
        ),
    }
}

fn tell_words(tell: &Tell) -> String {
    let script = tell
        .script
        .as_ref()
        .map(|script| format!("script {script}"));
    let health = tell
        .health
        .map(|health| format!("health {}", health.word()));
    let away = tell.go_away.then(|| "GOAWAY on all connections".to_owned());
    let words: Vec<String> = [script, health, away].into_iter().flatten().collect();
    format!(
        "tell the servers of {}: {}",
        tell.workload,
        words.join(", ")
    )
}

fn versus_words(versus: &Versus) -> String {
    let claim = |what: &str, bound: &Option<String>| {
        let bound = bound.as_ref()?;
        let refuted = versus.refutes.iter().any(|name| name == what);
        let not = if refuted { " (must be refuted)" } else { "" };
        Some(format!("{what} at most {bound}{not}"))
    };
    let claims = [claim("latency", &versus.latency), claim("cpu", &versus.cpu)];
    let claims: Vec<String> = claims.into_iter().flatten().collect();
    format!(
        "probe {} against {} by turns, {} rounds: {}",
        versus.probe,
        versus.against,
        versus.rounds,
        claims.join(", ")
    )
}

fn contrast_words(contrast: &Contrast) -> String {
    let broken = override_words(&contrast.with);
    let broken = if broken.is_empty() {
        String::new()
    } else {
        format!(" with {broken}")
    };
    let cells = match contrast.cells.as_slice() {
        [] => String::new(),
        cells => format!(" (cells {})", cells.join(", ")),
    };
    format!(
        "contrast: probe {}{cells}{broken} must refute {}",
        contrast.probe,
        contrast.refutes.join(", ")
    )
}

fn override_words(with: &Override) -> String {
    let value = serde_json::to_value(with).unwrap_or_default();
    let fields = value.as_object().into_iter().flatten();
    let set = fields.filter(|(_, value)| !value.is_null());
    let words = set.map(|(key, value)| match value.as_str() {
        Some(text) => format!("{key} {text}"),
        None => format!("{key} {value}"),
    });
    words.collect::<Vec<_>>().join(", ")
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
        run.times,
        call_words(run),
        if run.browser.is_some() {
            "a browser"
        } else {
            &run.from
        },
        run.to,
        run.connections
    );
    for (key, count) in &run.per_call {
        let _ = writeln!(text, "    ({key} takes {count} values in turn)");
    }
    if let Some(tls) = &run.tls {
        let _ = writeln!(text, "    (over TLS: {})", tls_words(tls));
    }
    let sample = Sample {
        cap: run.needed.unwrap_or(run.times),
        per_call: &run.per_call,
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
    if let Some(browser) = &run.browser {
        let (page, client) = (&browser.page, browser.client.word());
        return format!("call(s) of {} by {client} in a page of {page}", run.call);
    }
    match &run.form {
        Form::Grpc => format!("call(s) of {}", run.call),
        Form::Web(web) => {
            let mode = match web.mode {
                WebMode::Binary => "binary",
                WebMode::Text => "text",
            };
            format!("gRPC-Web ({mode}) call(s) of {}", run.call)
        }
        Form::Http(http) => {
            let path = http.path.clone();
            let path = path.unwrap_or_else(|| format!("/{}", run.call));
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
