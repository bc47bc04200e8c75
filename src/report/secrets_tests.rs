//! Seventeen secrets, in every position from which one could leak, and every file that a run
//! writes.

use std::{
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex},
};

use kube::config::Kubeconfig;
use serde_json::json;
use testbed::control::Origin;

use super::{SinkOptions, sink::Sink};
use crate::{
    cluster::kubeconfig,
    event::{Event, EventKind},
    evidence::{redact::Redactor, sensitive},
    output::Palette,
    run::{namespace::manifests::Manifests, probe},
    verdict::{Observations, ResolvedExpect, testing},
};

fn secret(number: usize) -> String {
    format!("planted-{number:02}-x7Qz")
}

#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<u8>>>);

impl Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("one thread").write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// 1 to 7: metadata of calls and attempts.
fn calls() -> String {
    let pair = |name: &str, number| (name.to_owned(), secret(number));
    let mut call = testing::failed(0, 14, "", Origin::Http);
    call.own = vec![pair("authorization", 1), pair("token-bin", 2)];
    call.headers = vec![pair("set-cookie", 3)];
    call.trailers = vec![pair("x-session-secret", 4)];
    let mut attempt = testing::attempt(0, "greeter-a");
    attempt.metadata = vec![
        pair("Cookie", 5),
        pair("x-api-key", 6),
        pair("proxy-authorization", 7),
    ];
    let seen = Observations {
        calls: vec![call],
        attempts: vec![attempt],
        ..Observations::default()
    };
    probe::evidence(
        &seen,
        &ResolvedExpect {
            matchers: Vec::new(),
        },
        false,
    )
}

/// 8 to 10: a Secret, and the error text of an API server that rejects it. 11: the inline code of
/// an EnvoyFilter.
fn manifests(redactor: &Redactor) -> (String, String) {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let packed = STANDARD.encode(secret(8));
    let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
        "data": {"a": packed}, "stringData": {"b": {"nested": secret(9)}, "c": secret(10)}});
    let filter = json!({"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter", "metadata": {"name": "f"},
        "spec": {"patch": {"value": {"inlineCode": secret(11)}}}});
    redactor.register_object(&object);
    let mut kept = Manifests::default();
    kept.taken_up("s.yaml", vec![object, filter]);
    let refused = format!(
        "the API server rejected Secret s: Value:map[string]interface {{}}{{\"a\":\"{packed}\", \"nested\":\"{}\", \"c\":\"{}\"}} {}",
        secret(9),
        secret(10),
        secret(8)
    );
    (kept.evidence().remove(0).1, refused)
}

/// 12 and 13: code that Envoy quotes.
fn nack() -> String {
    let message = format!(
        "script load error: [string \"local key = \"{}\"...\"]:3: '=' expected near '{}'",
        secret(12),
        secret(13)
    );
    sensitive::refusal(&message)
}

/// 14 to 16: a kubeconfig, and the error text of a client that fails.
fn kubeconfig(redactor: &Redactor) -> String {
    let text = format!(
        "clusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:1', proxy-url: 'http://me:{}@proxy:3128'}}}}]\n\
         users: [{{name: u, user: {{token: {}, password: {}}}}}]\n",
        secret(14),
        secret(15),
        secret(16)
    );
    let read = Kubeconfig::from_yaml(&text).expect("a kubeconfig");
    let all = kubeconfig::secrets(&read);
    all.iter().for_each(|text| redactor.register(text));
    format!(
        "cannot connect by me:{}@proxy:3128 (Bearer {}, {})",
        secret(14),
        secret(15),
        secret(16)
    )
}

/// The first run of the golden logs, with `words` in every text.
fn events(message: &str) -> Vec<Event> {
    let url = format!("--registry-mirror=https://me:{}@mirror:5000", secret(17));
    let lines = super::golden::lines();
    let read = lines
        .iter()
        .map(|line| serde_json::from_str::<Event>(line).expect("an event"));
    let mut runs = 0;
    let mut events: Vec<Event> = read
        .take_while(|event| {
            runs += usize::from(matches!(event.kind, EventKind::RunStarted(_)));
            runs < 2
        })
        .collect();
    for event in &mut events {
        match &mut event.kind {
            EventKind::RunStarted(run) => {
                run.args.push(url.clone());
                run.reproduce += &format!(" {url}");
            }
            EventKind::Checked { check, .. } => check.actual += message,
            EventKind::ScenarioEnded(end) => end.cause += message,
            EventKind::StepEnded { error, .. } | EventKind::PhaseEnded { error, .. } => {
                *error = Some(message.to_owned());
            }
            _ => {}
        }
    }
    let note = EventKind::Note {
        text: format!("{message} {url}"),
    };
    events.insert(
        1,
        Event {
            at_ms: 0,
            kind: note,
        },
    );
    events
}

#[test]
fn of_seventeen_secrets_none_is_in_any_file_of_a_run() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = SinkOptions {
        report_dir: Some(dir.path().to_owned()),
        verbose: true,
        ..SinkOptions::default()
    };
    let redactor = options.redactor.clone();
    let (manifest, refused) = manifests(&redactor);
    let texts = [refused, nack(), kubeconfig(&redactor)].join("; ");
    let shown = Shown::default();
    let mut sink = Sink::with(options, Palette::PLAIN, Box::new(shown.clone())).expect("opened");
    let bundle = sink.bundle().cloned().expect("a report directory");
    for (name, text) in [
        ("step-1-p.jsonl", calls()),
        ("manifests/01-s.yaml", manifest),
        ("greeter.istio-proxy.log", nack()),
        ("pods.txt", texts.clone()),
    ] {
        bundle.evidence("area/a", name, &text).expect("kept");
    }
    events(&texts).iter().for_each(|event| sink.event(event));
    let finished = sink.finish();
    assert!(finished.errors.is_empty(), "{:?}", finished.errors);
    let mut all = vec![(
        "console".to_owned(),
        shown.0.lock().expect("one thread").clone(),
    )];
    read(dir.path(), &mut all);
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    for expected in [
        "events.jsonl",
        "report.json",
        "junit.xml",
        "report.html",
        "summary.md",
        "01-s.yaml",
    ] {
        assert!(
            names.iter().any(|name| name.ends_with(expected)),
            "{expected} in {names:?}"
        );
    }
    for (name, bytes) in &all {
        let text = String::from_utf8_lossy(bytes);
        for number in 1..=17 {
            assert!(
                !text.contains(&secret(number)),
                "secret {number} is in {name}:\n{text}"
            );
        }
    }
}

fn read(dir: &Path, all: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(dir).expect("listed") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => read(&path, all),
            false => all.push((
                path.display().to_string(),
                std::fs::read(&path).expect("read"),
            )),
        }
    }
}
