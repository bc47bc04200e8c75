//! Rules for calls that are not gRPC over HTTP/2.

use crate::{
    plan::resolve::of_case,
    scenario::{finding::Finding, loaded::LoadedScenario, model::Probe},
};

pub fn lint(loaded: &LoadedScenario, findings: &mut Vec<Finding>) {
    for (name, probe) in &loaded.scenario.probes {
        let path = format!("probes.{name}");
        if probe.cases.is_empty() {
            form(loaded, &path, probe, findings);
        }
        for (at, row) in probe.cases.iter().enumerate() {
            let path = format!("{path}.cases[{at}]");
            form(loaded, &path, &of_case(probe, row), findings);
        }
    }
}

fn form(loaded: &LoadedScenario, path: &str, probe: &Probe, findings: &mut Vec<Finding>) {
    if probe.web.is_some() && probe.http.is_some() {
        let help = "a call has one format: drop `web` or `http`";
        findings.push(loaded.at(path, "'web' and 'http' exclude each other", help));
    }
    let own_path = probe.http.as_ref().is_some_and(|http| http.path.is_some());
    if probe.call.is_empty() && !own_path {
        let help = "write `call: package.Service/Method`; only `http` with a `path` needs none";
        findings.push(loaded.at(path, "this probe has no call", help));
    }
    if let Some(http) = &probe.http
        && http
            .path
            .as_ref()
            .is_some_and(|path| !path.starts_with('/'))
    {
        let help = "start it with a slash, e.g. `path: /health`";
        findings.push(loaded.at(path, "the path of 'http' is relative", help));
    }
    if let Some(browser) = &probe.browser {
        browser_rules(loaded, path, probe, &browser.page, findings);
    }
    if probe.http.is_some() && probe.script.is_some() {
        let help = "only gRPC calls can be scripted: drop `script`";
        findings.push(loaded.at(path, "'script' has no effect on a plain HTTP request", help));
    }
}

fn browser_rules(
    loaded: &LoadedScenario,
    path: &str,
    probe: &Probe,
    page: &str,
    findings: &mut Vec<Finding>,
) {
    let scheme = page.split_once("://");
    if scheme.is_none_or(|(scheme, host)| scheme != "http" || host.is_empty() || host.contains('/'))
    {
        let help = "write an origin, e.g. `page: http://app.example.test`";
        findings.push(loaded.at(path, format!("'{page}' is not an origin"), help));
    }
    if probe.web.is_some() || probe.http.is_some() || !probe.from.is_empty() {
        let help = "the browser makes the calls itself: drop `web`, `http` and `from`";
        findings.push(loaded.at(path, "a browser probe with `web`, `http` or `from`", help));
    }
    if !loaded.scenario.needs.iter().any(|need| need == "browser") {
        let help = "add `browser` to `needs`: not every machine has one";
        findings.push(loaded.at(
            path,
            "a browser probe in a scenario without `needs: [browser]`",
            help,
        ));
    }
}
