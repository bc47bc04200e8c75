//! Whatever is done to the namespace of a scenario from outside is noticed, or undone, before
//! another scenario uses it.
//!
//! Two scenarios with the same workloads run one after the other. While the first waits for a
//! slow answer, its namespace is poisoned.

use std::{fs, path::Path, time::Duration};

use meshproof::wait::{Look, until};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    program::{Running, command, need_kubectl, output},
    tally::{Tally, tail},
    target::Target,
};

/// How long one kubectl command may take.
const LIMIT: Duration = Duration::from_secs(30);
/// How long two scenarios may take on a busy machine.
const WHOLE: Duration = Duration::from_secs(180);

/// What is done to the namespace.
enum Poison {
    /// `kubectl` with these arguments, and standard input.
    Kubectl(&'static [&'static str], &'static str),
    /// A request to the control port of the first pod of a workload.
    Control(&'static str, &'static str, &'static str),
    /// An idle connection to a port of the first pod of a workload.
    Connection(&'static str, u16),
}

use Poison::{Connection, Control, Kubectl};

/// Each poison, its name, and the end of the note about it. `None`: it is undone, so that the
/// second scenario passes in the same namespace.
const POISONS: [(&str, Poison, Option<&str>); 11] = [
    (
        "a script for all calls",
        Control("greeter", "PUT /v1/script", r#"{"status": 14}"#),
        None,
    ),
    (
        "a service that is not SERVING",
        Control(
            "greeter",
            "PUT /v1/health?service=mypackage.Greeter&status=NOT_SERVING",
            "",
        ),
        None,
    ),
    ("an open connection", Connection("greeter", 50051), None),
    (
        "a call in progress",
        Control(
            "caller",
            "POST /v1/run",
            r#"{"id": "poison", "address": "greeter:50051", "method": "mypackage.Greeter/SayHello", "script": {"delay_ms": 60000}, "patience_ms": 60000}"#,
        ),
        Some("in progress"),
    ),
    (
        "a leftover EnvoyFilter",
        Kubectl(
            &["apply", "-f", "-"],
            r#"{"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter", "metadata": {"name": "poison"}, "spec": {"configPatches": []}}"#,
        ),
        Some("EnvoyFilter poison is left in it"),
    ),
    (
        "a leftover limit of connections",
        Kubectl(
            &["apply", "-f", "-"],
            r#"{"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": {"name": "poison"}, "spec": {"host": "greeter", "trafficPolicy": {"connectionPool": {"http": {"http2MaxRequests": 1}}}}}"#,
        ),
        Some("DestinationRule poison is left in it"),
    ),
    (
        "a leftover Service",
        Kubectl(
            &["create", "service", "clusterip", "poison", "--tcp=50051"],
            "",
        ),
        Some("Service poison is left in it"),
    ),
    (
        "a leftover Secret",
        Kubectl(&["create", "secret", "generic", "poison"], ""),
        Some("Secret poison is left in it"),
    ),
    (
        "another label",
        Kubectl(
            &["label", "pods", "-l", "workload=greeter", "version=poison"],
            "",
        ),
        Some("has other labels"),
    ),
    (
        "another annotation",
        Kubectl(
            &["annotate", "pods", "-l", "workload=caller", "poison=yes"],
            "",
        ),
        Some("has other annotations"),
    ),
    (
        "one more pod",
        Kubectl(&["scale", "deployment", "greeter", "--replicas=2"], ""),
        Some("was added"),
    ),
];

#[tokio::test]
#[ignore = "needs kubectl in PATH and a local mesh: scripts/test runs it"]
async fn poisoned_namespaces_are_noticed() {
    need_kubectl();
    let mut tally = Tally::of("poisoned namespaces").await;
    let target = Target::up("poison")
        .await
        .unwrap_or_else(|why| panic!("{why}"));
    let kubeconfig = target
        .kubeconfig()
        .await
        .unwrap_or_else(|why| panic!("{why}"));
    let scratch = tempfile::tempdir().expect("a directory");
    write_suites(scratch.path());
    tally.begin();
    for (name, poison, expected) in &POISONS {
        let poisoned = Poisoned {
            target: &target,
            kubeconfig: &kubeconfig,
            folder: scratch.path(),
        };
        tally.add(name, poisoned.noticed(poison, *expected).await);
        if let Kubectl(..) = poison {
            let between = poisoned.noticed_by_the_next_run(poison, *expected).await;
            tally.add(&format!("{name}, between two runs"), between);
        }
    }
    let poisoned = Poisoned {
        target: &target,
        kubeconfig: &kubeconfig,
        folder: scratch.path(),
    };
    let nothing = Kubectl(&["get", "pods"], "");
    let reused = poisoned.noticed_by_the_next_run(&nothing, None).await;
    tally.add("nothing, between two runs", reused);
    drop(target);
    tally.finish();
}

/// Two scenarios that differ in nothing but their names and the time of an answer.
fn write_suites(folder: &Path) {
    let suites = folder.join("suites/poison");
    fs::create_dir_all(&suites).expect("a directory");
    // Slow scenarios start first.
    for (name, group, delay) in [("a-first", "slow", 6_000), ("b-second", "quick", 0)] {
        let text = format!(
            "title: A call is answered\nwhy: It is.\nsource: [a document]\nproves: [B1]\n\
             no-contrast: it is about the namespace\nneeds: [sidecar]\nlabels: {{group: {group}}}\n\
             workloads:\n- {{name: caller, template: caller}}\n- {{name: greeter, template: greeter}}\n\
             probes:\n  one:\n    call: mypackage.Greeter/SayHello\n    from: caller\n    to: greeter:50051\n    \
             send: {{name: ada}}\n    script: {{delay_ms: {delay}}}\n    deadline: 20s\n    expect: {{status: OK}}\n\
             steps:\n- probe: one\n"
        );
        fs::write(suites.join(format!("{name}.yaml")), text).expect("a file");
    }
}

struct Poisoned<'a> {
    target: &'a Target,
    kubeconfig: &'a Path,
    folder: &'a Path,
}

impl Poisoned<'_> {
    fn run(&self, scenarios: &[&str]) -> Running {
        let mut run = self.target.command(&["run"], &[]);
        run.current_dir(self.folder)
            .args(["--jobs", "1", "--report-dir", "report"])
            .args(scenarios)
            .env("XDG_STATE_HOME", self.folder);
        let _ = fs::remove_dir_all(self.folder.join("report")); // the first has none
        Running::start(run)
    }

    /// Runs a scenario, poisons the namespace that it has left, and runs the scenario again.
    async fn noticed_by_the_next_run(
        &self,
        poison: &Poison,
        expected: Option<&str>,
    ) -> Result<String, String> {
        let scenario = ["suites/poison/b-second.yaml"];
        let whole = async || {
            let mut run = self.run(&scenario);
            match run.ended(WHOLE).await {
                Some(0) => Ok(run.text()),
                status => Err(format!("status {status:?}: {}", tail(&run.text(), 10))),
            }
        };
        whole().await?;
        let namespace = self.namespace_of("poison/b-second").await?;
        let before = self.pods(&namespace).await?;
        self.apply(&namespace, poison).await?;
        let text = whole().await?;
        let note = text
            .lines()
            .find(|line| line.contains("of an earlier run is not used again"));
        match (expected, note) {
            (Some(expected), Some(note)) if note.contains(expected) => Ok(String::new()),
            (None, None) if self.pods(&namespace).await? == before => Ok(String::new()),
            (None, None) => Err("the pods of the earlier run were not used".to_owned()),
            (expected, note) => Err(format!("expected the note {expected:?}, saw {note:?}")),
        }
    }

    async fn pods(&self, namespace: &str) -> Result<String, String> {
        let uids = "jsonpath={.items[*].metadata.uid}";
        self.kubectl(&["-n", namespace, "get", "pods", "-o", uids])
            .await
    }

    async fn noticed(&self, poison: &Poison, expected: Option<&str>) -> Result<String, String> {
        let mut run = self.run(&["suites/poison/a-first.yaml", "suites/poison/b-second.yaml"]);
        let namespace = self.namespace().await?;
        let kept = self.apply(&namespace, poison).await?;
        let status = run.ended(WHOLE).await;
        drop(kept);
        let text = run.text();
        if status != Some(0) {
            return Err(format!("status {status:?}: {}", tail(&text, 10)));
        }
        let note = text.lines().find(|line| line.contains("is not used again"));
        match (expected, note) {
            (Some(expected), Some(note)) if note.contains(expected) => Ok(String::new()),
            (None, None) => Ok(String::new()),
            (expected, note) => Err(format!("expected the note {expected:?}, saw {note:?}")),
        }
    }

    async fn kubectl(&self, args: &[&str]) -> Result<String, String> {
        let mut kubectl = command("kubectl", &["--kubeconfig"]);
        kubectl.arg(self.kubeconfig).args(args);
        output(kubectl, LIMIT).await
    }

    /// Waits until the first scenario makes its call, and returns its namespace.
    async fn namespace(&self) -> Result<String, String> {
        let events = self.folder.join("report/events.jsonl");
        let begun = until(WHOLE, async |_| {
            let text = fs::read_to_string(&events).unwrap_or_default();
            let mut lines = text.lines();
            let first = r#""event":"step-started","id":"poison/a-first""#;
            Ok::<_, String>(match lines.any(|line| line.contains(first)) {
                true => Look::Met(()),
                false => Look::Unmet(tail(&text, 2)),
            })
        });
        begun.await.map_err(|error| format!("{error:?}"))?;
        self.namespace_of("poison/a-first").await
    }

    /// The shared namespace that this scenario has used last.
    async fn namespace_of(&self, scenario: &str) -> Result<String, String> {
        let namespaces = ["get", "namespaces", "-l", "meshproof.dev/run", "-o", "json"];
        let all: Value = serde_json::from_str(&self.kubectl(&namespaces).await?)
            .map_err(|error| error.to_string())?;
        let mut namespaces = all["items"].as_array().into_iter().flatten();
        let name = namespaces.find_map(|one| {
            let metadata = &one["metadata"];
            let mine = metadata["annotations"]["meshproof.dev/scenario"] == scenario
                && metadata["deletionTimestamp"].is_null();
            metadata["name"].as_str().filter(|_| mine)
        });
        let name = name.filter(|name| name.contains("-shared-"));
        name.map(str::to_owned)
            .ok_or_else(|| format!("{scenario} has no shared namespace"))
    }

    /// Applies the poison. What is returned has to live as long as the poison.
    async fn apply(&self, namespace: &str, poison: &Poison) -> Result<Kept, String> {
        match poison {
            Kubectl(args, input) => {
                let file = self.folder.join("poison.json");
                fs::write(&file, input).map_err(|error| error.to_string())?;
                let file = file.display().to_string();
                let args = args.iter().map(|&arg| if arg == "-" { &file } else { arg });
                let args: Vec<&str> = ["-n", namespace].into_iter().chain(args).collect();
                self.kubectl(&args).await?;
                Ok(Kept(None))
            }
            Control(workload, request, body) => {
                let (forward, address) = self.forward(namespace, workload, 15_999).await?;
                let mut stream = connect(&address).await?;
                ask(&mut stream, request, body).await?;
                let mut first = [0; 16];
                let read = stream.read(&mut first);
                let _ = tokio::time::timeout(Duration::from_millis(500), read).await;
                Ok(Kept(Some((forward, stream))))
            }
            Connection(workload, port) => {
                let (forward, address) = self.forward(namespace, workload, *port).await?;
                let stream = connect(&address).await?;
                Ok(Kept(Some((forward, stream))))
            }
        }
    }

    async fn forward(
        &self,
        namespace: &str,
        workload: &str,
        port: u16,
    ) -> Result<(Running, String), String> {
        let mut forward = command("kubectl", &["--kubeconfig"]);
        forward.arg(self.kubeconfig).args([
            "-n",
            namespace,
            "port-forward",
            &format!("deployment/{workload}"),
            &format!(":{port}"),
        ]);
        let forward = Running::start(forward);
        let line = forward
            .line(LIMIT, |line| line.starts_with("Forwarding from 127.0.0.1:"))
            .await?;
        let address = line.trim_start_matches("Forwarding from ");
        let address = address.split(' ').next().unwrap_or_default().to_owned();
        Ok((forward, address))
    }
}

/// A forwarded port and a connection through it.
struct Kept(#[expect(dead_code, reason = "it only has to live")] Option<(Running, TcpStream)>);

async fn connect(address: &str) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(address).await;
    stream.map_err(|error| format!("{address}: {error}"))
}

async fn ask(stream: &mut TcpStream, request: &str, body: &str) -> Result<(), String> {
    let text = format!(
        "{request} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let written = stream.write_all(text.as_bytes()).await;
    written.map_err(|error| error.to_string())
}
