//! Runs probes whose calls a real browser makes.

use std::time::Instant;

use serde_json::{Value, json};
use testbed::control::{
    BrowserSeen, CALL_HEADER, Observation, Origin, SCRIPT_HEADER, Status, WebSeen,
};

use super::{
    Outcome, ProbeOptions, RecordedCalls,
    error::{BrowseError, ProbeError},
};
use crate::{
    browser::{
        chrome::{self, Chrome, Fetched, PageCall},
        page, serve,
    },
    plan::resolve::ResolvedProbe,
    run::{context::RunContext, namespace::scenario_namespace::ScenarioNamespace, probe},
    scenario::{manifest::expand, model::web::Browser},
    verdict::stall::Stalls,
};

/// Chromium and the two listeners that it talks to. All browser probes of a scenario share it.
pub struct Browsing {
    chrome: Chrome,
    /// `workload:port` to which the scenario's host is mapped.
    to: String,
    _page: serve::Listening,
    _target: serve::Listening,
}

impl Browsing {
    /// Starts Chromium. The scenario's host is mapped to `to`, every other host to the page.
    ///
    /// # Errors
    /// Chromium, its page or a listener could not be started.
    pub async fn start(
        ctx: &RunContext,
        ns: &ScenarioNamespace,
        to: &str,
    ) -> Result<Self, ProbeError> {
        let (workload, port) = to
            .rsplit_once(':')
            .and_then(|(workload, port)| Some((workload, port.parse::<u16>().ok()?)))
            .ok_or_else(|| BrowseError::NoPort { to: to.to_owned() })?;
        let pod = ns.pod(ctx, workload)?;
        let built = tokio::task::spawn_blocking(page::built).await;
        let built = built.map_err(BrowseError::Built)?;
        let built = built.map_err(BrowseError::Page)?;
        let page = serve::page(built).await.map_err(BrowseError::Listen)?;
        let target = ctx.port(&ns.name, &pod, port);
        let target = serve::forward(target).await.map_err(BrowseError::Listen)?;
        let rules = format!("MAP {} {}, MAP * {}", ns.host, target.address, page.address);
        let profile = format!("meshproof-browser-{}-{}", std::process::id(), ns.name);
        let profile = std::env::temp_dir().join(profile);
        let program = chrome::executable().map_err(BrowseError::Chromium)?;
        let chrome = Chrome::start(&program, profile, &rules).await;
        let chrome = chrome.map_err(BrowseError::Chromium)?;
        Ok(Self {
            chrome,
            to: to.to_owned(),
            _page: page,
            _target: target,
        })
    }

    /// Runs a probe in a tab of its own and judges it.
    ///
    /// # Errors
    /// As [`probe::run`].
    pub async fn run(
        &self,
        ctx: &RunContext,
        ns: &ScenarioNamespace,
        probe: &ResolvedProbe,
        browser: &Browser,
        tag: &str,
        options: ProbeOptions<'_>,
    ) -> Result<Outcome, ProbeError> {
        if probe.request.to != self.to {
            return Err(ProbeError::Browse(BrowseError::OtherTarget {
                probe: probe.name.clone(),
                first: self.to.clone(),
                second: probe.request.to.clone(),
            }));
        }
        let (began, pods) = (Instant::now(), ns.pods(ctx));
        let base = format!("http://{}", ns.host);
        let plan = plan(ns, probe, browser, tag, &base)?;
        let read = probe::read_before(ctx, ns, probe).await?;
        let ran = self.chrome.run(&browser.page, &base, &plan).await;
        let ran = ran.map_err(BrowseError::Chromium)?;
        let calls = ran.calls.into_iter().enumerate();
        let calls: Vec<Observation> = calls
            .map(|(at, (call, fetched))| observation(tag, at as u64, &browser.page, call, fetched))
            .collect();
        let recorded = RecordedCalls {
            began,
            took_us: calls.iter().map(|call| call.end_us).sum(),
            calls,
            pods,
            stalls: Stalls {
                harness: ctx.watchdog.since(began),
                caller: Vec::new(),
            },
            stopped_early: false,
            read,
        };
        let mut outcome = probe::conclude(ctx, ns, probe, tag, recorded, options).await?;
        outcome.pictures.push(("png".to_owned(), ran.picture));
        Ok(outcome)
    }

    /// Ends Chromium.
    pub async fn close(self) {
        self.chrome.close().await;
    }
}

/// Returns the page's instructions.
fn plan(
    ns: &ScenarioNamespace,
    probe: &ResolvedProbe,
    browser: &Browser,
    tag: &str,
    base: &str,
) -> Result<Value, BrowseError> {
    let names = ns.names();
    let (service, method) = probe
        .request
        .call
        .split_once('/')
        .unwrap_or((&probe.request.call, ""));
    let each = probe
        .request
        .metadata
        .iter()
        .map(|(key, values)| match values.all() {
            [one] => Ok((key.clone(), expand(one, &names).into())),
            _ => Err(BrowseError::Metadata {
                probe: probe.name.clone(),
                key: key.clone(),
            }),
        });
    let mut metadata = each.collect::<Result<serde_json::Map<String, Value>, BrowseError>>()?;
    if let Some(script) = &probe.request.script {
        let script = serde_json::to_string(script)?;
        metadata.insert(SCRIPT_HEADER.to_owned(), script.into());
    }
    let calls: Vec<String> = (0..probe.load.times)
        .map(|at| format!("{tag}-{at}"))
        .collect();
    let message = probe.request.messages.first().cloned();
    Ok(json!({
        "client": browser.client.as_str(),
        "base": base,
        "service": service,
        "method": method,
        "message": message.unwrap_or_else(|| json!({})),
        "metadata": metadata,
        "callHeader": CALL_HEADER,
        "calls": calls,
    }))
}

/// Returns the call as the wire-level caller would report it, as far as a page can know.
fn observation(tag: &str, index: u64, page: &str, call: PageCall, fetched: Fetched) -> Observation {
    let http = fetched.http_status.filter(|_| fetched.refused.is_none());
    // The ledger's rule is about answers of an application. A response that the page may not read
    // is not an answer to it.
    let origin = if http.is_some() {
        Origin::Wire
    } else {
        Origin::Transport
    };
    let refused = fetched.refused;
    let web = WebSeen {
        method: "POST".to_owned(),
        asked: vec![("origin".to_owned(), page.trim_end_matches('/').to_owned())],
        browser: Some(BrowserSeen {
            refused: refused.clone(),
        }),
        ..WebSeen::default()
    };
    Observation {
        call: format!("{tag}-{index}"),
        index,
        connection: 0,
        own: Vec::new(),
        intended_us: 0,
        sent_us: 0,
        headers_us: None,
        end_us: call.us,
        http_status: http,
        headers: call.headers,
        trailers: call.trailers,
        trailers_only: false,
        messages: call.replies.iter().map(|_| (call.us, 0)).collect(),
        uploaded: 1,
        damage: None,
        replies: call.replies,
        reset: None,
        goaway: None,
        transport_error: refused.map(|rule| format!("blocked by the browser: {rule}")),
        status: Status {
            code: call.code,
            message: call.message,
            origin,
        },
        tls: None,
        web: Some(web),
    }
}
