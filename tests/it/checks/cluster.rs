//! Checks that a local target is a cluster for programs that know nothing of meshproof: typical
//! kubectl and istioctl commands work in it. Needs kubectl in PATH.

use std::{
    fs,
    future::Future,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use regex::Regex;
use tokio::process::Command;

use super::{
    program::{Running, Said, answer, command, meshproof, need_kubectl, output},
    tally::Tally,
    target::Target,
};

/// Timeout of a command.
const LIMIT: Duration = Duration::from_secs(60);
/// Timeout of a run of scenarios.
const RUN: Duration = Duration::from_secs(240);
/// A shell that forwards SIGTERM: the first process of a container receives no signal for which
/// it has no handler.
const SERVE: &str = "python3 -u -m http.server 8000 & trap \"kill $!\" TERM; wait";
/// Scenarios run with the documented permissions: they scale, restart and use Gateway API.
const SCENARIOS: [&str; 4] = [
    "routing/metadata",
    "balancing/headless",
    "balancing/scale-up-under-traffic",
    "resilience/health-port",
];
/// A VirtualService with a regular expression that RE2 rejects.
const REFUSED: &str = r#"{"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "x"}, "spec": {"hosts": ["x"],
  "http": [{"match": [{"uri": {"regex": "[unclosed"}}], "route": [{"destination": {"host": "x"}}]}]}}"#;

/// A namespace of a target, and the results of the checks in it.
struct Cluster {
    target: Target,
    space: String,
    scratch: tempfile::TempDir,
    tally: Tally,
}

impl Cluster {
    /// A kubectl command in the namespace.
    fn kubectl(&self, args: &[&str]) -> Command {
        let mut command = self.target.inside(&["kubectl", "-n", &self.space]);
        command.args(args);
        command
    }

    /// A command that runs in the container of a pod.
    fn exec(&self, pod: &str, args: &[&str]) -> Command {
        let mut command = self.kubectl(&["exec", pod, "-c", "shell", "--"]);
        command.args(args);
        command
    }

    /// Checks that the command succeeds and a line of its output matches the pattern.
    async fn check(&mut self, what: &str, pattern: &str, command: Command) {
        let outcome = matches(&answer(command, LIMIT).await, pattern);
        self.tally.add(what, outcome.map(|_| String::new()));
    }

    async fn says(&mut self, what: &str, pattern: &str, kubectl: &[&str]) {
        self.check(what, pattern, self.kubectl(kubectl)).await;
    }

    /// The name of a running pod of the deployment.
    async fn pod(&self) -> String {
        let first = "jsonpath={.items[0].metadata.name}";
        let running = "status.phase=Running";
        let args = [
            "get",
            "pods",
            "-l",
            "app=web",
            "--field-selector",
            running,
            "-o",
            first,
        ];
        let name = output(self.kubectl(&args), LIMIT).await;
        name.unwrap_or_else(|why| format!("no pod: {why}"))
    }
}

/// # Errors
/// How the command ended, and its output.
fn matches(answer: &Said, pattern: &str) -> Result<String, String> {
    let pattern = Regex::new(pattern).expect("a regular expression");
    let line = answer.text.lines().find(|line| pattern.is_match(line));
    let any = pattern.as_str().is_empty();
    match line.or_else(|| any.then_some("")) {
        Some(line) if answer.ok() => Ok(line.to_owned()),
        _ => Err(format!("expected /{pattern}/; {}", answer.reported())),
    }
}

/// Applies the timeout to a check.
async fn limited(outcome: impl Future<Output = Result<String, String>>) -> Result<String, String> {
    let timed = tokio::time::timeout(LIMIT, outcome).await;
    timed.unwrap_or_else(|_| Err(format!("timed out after {LIMIT:?}")))
}

#[tokio::test]
#[ignore = "needs kubectl in PATH and a local mesh: scripts/test runs it"]
async fn kubectl_and_istioctl_do_their_everyday_work() {
    need_kubectl();
    let tally = Tally::of("kubectl and istioctl in a local target").await;
    let mut cluster = Cluster {
        target: Target::up("cluster")
            .await
            .unwrap_or_else(|why| panic!("{why}")),
        space: format!("check-{}", std::process::id()),
        scratch: tempfile::tempdir().expect("a directory"),
        tally,
    };
    begin(&cluster).await.unwrap_or_else(|why| panic!("{why}"));
    cluster.tally.begin();
    deployment(&mut cluster).await;
    let pod = cluster.pod().await;
    pod_by_name(&mut cluster, &pod).await;
    streams(&mut cluster, &pod).await;
    replacement(&mut cluster, &pod).await;
    let pod = cluster.pod().await;
    istioctl(&mut cluster, &pod).await;
    let limited = limited_run(&cluster).await;
    let what = "a run with the permissions of docs/examples/cluster-role.yaml";
    cluster.tally.add(what, limited);
    let space = cluster.space.clone();
    let args = ["delete", "namespace", &space, "--timeout", "60s"];
    cluster.says("delete namespace", "deleted", &args).await;
    let Cluster { target, tally, .. } = cluster;
    drop(target); // before the next test begins
    tally.finish();
}

async fn begin(cluster: &Cluster) -> Result<(), String> {
    let space = cluster.space.as_str();
    output(cluster.kubectl(&["create", "namespace", space]), LIMIT).await?;
    let injected = ["label", "namespace", space, "istio-injection=enabled"];
    output(cluster.kubectl(&injected), LIMIT).await?;
    Ok(())
}

async fn deployment(cluster: &mut Cluster) {
    let rollout = ["rollout", "status", "deployment/web", "--timeout", "50s"];
    let rolled_out = "successfully rolled out";
    let image = ["--image", "local/shell:dev", "--port", "8000"];
    let create = [
        &["create", "deployment", "web"],
        &image[..],
        &["--", "sh", "-c", SERVE],
    ]
    .concat();
    cluster.says("create deployment", "created", &create).await;
    cluster.says("rollout status", rolled_out, &rollout).await;
    let scale = ["scale", "deployment", "web", "--replicas", "3"];
    cluster.says("scale", "scaled", &scale).await;
    cluster
        .says("rollout after scale", rolled_out, &rollout)
        .await;
    let ports = ["--port", "80", "--target-port", "8000"];
    let expose = [&["expose", "deployment", "web"], &ports[..]].concat();
    cluster.says("expose", "exposed", &expose).await;
    cluster
        .says(
            "get pods, ready with sidecar",
            "2/2 +Running",
            &["get", "pods"],
        )
        .await;
    cluster
        .says("get events", "Started", &["get", "events"])
        .await;
    let describe = ["describe", "pod", "-l", "app=web"];
    cluster.says("describe pod", "istio-proxy", &describe).await;
    cluster
        .says("describe node", "Ready +True", &["describe", "node"])
        .await;
}

async fn pod_by_name(cluster: &mut Cluster, pod: &str) {
    let hostname = cluster.exec(pod, &["sh", "-c", "hostname; id"]);
    cluster.check("exec", &format!("^{pod}"), hostname).await;
    let seven = answer(cluster.exec(pod, &["sh", "-c", "exit 7"]), LIMIT).await;
    let outcome = match seven.status {
        Some(7) => Ok(String::new()),
        _ => Err(format!("expected status 7; {}", seven.reported())),
    };
    cluster.tally.add("exec keeps the status", outcome);
    let through = limited(stdin(cluster, pod)).await;
    cluster.tally.add("exec with stdin", through);
    let get = "import urllib.request as u; print(u.urlopen(\"http://web\").read().decode())";
    let call = cluster.exec(pod, &["python3", "-c", get]);
    cluster
        .check("call by Service name", "Directory listing", call)
        .await;
    cluster
        .says("logs", "Serving HTTP", &["logs", pod, "-c", "shell"])
        .await;
}

async fn stdin(cluster: &Cluster, pod: &str) -> Result<String, String> {
    let file = cluster.scratch.path().join("stdin");
    fs::write(&file, "through\n").map_err(|error| error.to_string())?;
    let from = fs::File::open(file).map_err(|error| error.to_string())?;
    let args = ["exec", "-i", pod, "-c", "shell", "--", "cat"];
    let mut cat = Running::start_with(cluster.kubectl(&args), Stdio::from(from));
    let status = cat.ended(LIMIT).await;
    let text = cat.text();
    matches(&Said { status, text }, "^through").map(|_| String::new())
}

/// Checks of long-lived streams: following a log, forwarding a port, copying files.
async fn streams(cluster: &mut Cluster, pod: &str) {
    let followed = limited(follow(cluster, pod)).await;
    cluster.tally.add("logs -f sees a new line", followed);
    let forwarded = limited(forward(cluster, pod)).await;
    cluster.tally.add("port-forward", forwarded);
    let copied = limited(copy(cluster, pod)).await;
    cluster.tally.add("cp to and from a pod", copied);
}

async fn follow(cluster: &Cluster, pod: &str) -> Result<String, String> {
    let args = ["logs", "-f", "--tail", "1", pod, "-c", "shell"];
    let reader = Running::start(cluster.kubectl(&args));
    let soon = Duration::from_secs(20);
    reader.line(soon, |line| !line.is_empty()).await?; // the last line so far: the command follows the log
    let get = "import urllib.request as u; u.urlopen(\"http://127.0.0.1:8000/later\")";
    let asked = answer(cluster.exec(pod, &["python3", "-c", get]), LIMIT).await; // 404
    let line = reader.line(soon, |line| line.contains("GET /later")).await;
    line.map(|_| String::new())
        .map_err(|why| format!("{why}; the request: {}", asked.reported()))
}

async fn forward(cluster: &Cluster, pod: &str) -> Result<String, String> {
    let forwarder = Running::start(cluster.kubectl(&["port-forward", pod, ":8000"]));
    let from = "Forwarding from 127.0.0.1:";
    let line = forwarder.line(Duration::from_secs(20), |line| line.starts_with(from));
    let line = line.await?;
    let port: String = line[from.len()..]
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    let get = format!(
        "import urllib.request as u; print(u.urlopen(\"http://127.0.0.1:{port}\").read().decode())"
    );
    let asked = cluster.target.inside(&["python3", "-c", &get]);
    let page = answer(asked, LIMIT).await;
    matches(&page, "Directory listing")
        .map(|_| String::new())
        .map_err(|why| format!("{why}\n{}", forwarder.text()))
}

async fn copy(cluster: &Cluster, pod: &str) -> Result<String, String> {
    let [sent, back] = ["sent", "back"].map(|name| cluster.scratch.path().join(name));
    // Neighbouring bytes differ, so a lost or duplicated piece is detected.
    let bytes: Vec<u8> = (0..75_000u32)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    fs::write(&sent, &bytes).map_err(|error| error.to_string())?;
    let there = format!("{pod}:/tmp/sent");
    let [sent, to] = [&sent, &back].map(|path| path.display().to_string());
    output(
        cluster.kubectl(&["cp", &sent, &there, "-c", "shell"]),
        LIMIT,
    )
    .await?;
    output(cluster.kubectl(&["cp", &there, &to, "-c", "shell"]), LIMIT).await?;
    let found = fs::read(&back).map_err(|error| format!("{to}: {error}"))?;
    match found == bytes {
        true => Ok(String::new()),
        false => Err(format!(
            "{} of {} bytes came back, or their contents differ",
            found.len(),
            bytes.len()
        )),
    }
}

async fn replacement(cluster: &mut Cluster, pod: &str) {
    let delete = [
        "delete",
        "pod",
        pod,
        "--grace-period",
        "120",
        "--timeout",
        "30s",
    ];
    cluster
        .says(
            "SIGTERM ends a container long before its grace period",
            "deleted",
            &delete,
        )
        .await;
    let rollout = ["rollout", "status", "deployment/web", "--timeout", "50s"];
    cluster
        .says(
            "the ReplicaSet creates another",
            "successfully rolled out",
            &rollout,
        )
        .await;
    let file = cluster.scratch.path().join("refused.json");
    let refused = match fs::write(&file, REFUSED) {
        Ok(()) => {
            let apply = cluster.kubectl(&["apply", "-f", &file.display().to_string()]);
            let answer = answer(apply, LIMIT).await;
            let denied = Regex::new("denied the request.*RE2").expect("a regular expression");
            match answer.status != Some(0) && answer.text.lines().any(|line| denied.is_match(line))
            {
                true => Ok(String::new()),
                false => Err(format!("expected /{denied}/; {}", answer.reported())),
            }
        }
        Err(error) => Err(error.to_string()),
    };
    cluster.tally.add("apply, rejected by validation", refused);
}

async fn istioctl(cluster: &mut Cluster, pod: &str) {
    let space = cluster.space.clone();
    let of_pod = format!("{pod}.{space}");
    let (status, service) = (format!("web-.*{space}"), format!("web.{space}"));
    let cluster_name = format!("{service}.svc.cluster.local");
    let described = format!("Pod: {pod}");
    for (message, pattern) in [
        (&["proxy-status"][..], status.as_str()),
        (&["proxy-config", "cluster", &of_pod], &cluster_name),
        (&["proxy-config", "route", &of_pod], &service),
        (&["proxy-config", "endpoint", &of_pod], ":8000 +HEALTHY"),
        (&["x", "describe", "pod", &of_pod], &described),
        (&["analyze", "-n", &space], ""),
    ] {
        let own = [of_pod.as_str(), space.as_str(), "-n"];
        let what: Vec<&str> = message
            .iter()
            .copied()
            .filter(|word| !own.contains(word))
            .collect();
        let command = cluster.target.inside(&[&["istioctl"], message].concat());
        let what = format!("istioctl {}", what.join(" "));
        cluster.check(&what, pattern, command).await;
    }
}

/// A run of a user that has only the documented permissions.
async fn limited_run(cluster: &Cluster) -> Result<String, String> {
    let role = format!("meshproof-{}", std::process::id());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rights = root
        .join("docs/examples/cluster-role.yaml")
        .display()
        .to_string();
    let kubectl = |args: &[&str]| cluster.kubectl(args);
    output(kubectl(&["create", "serviceaccount", "runner"]), LIMIT).await?;
    output(kubectl(&["apply", "-f", &rights]), LIMIT).await?;
    let account = format!("{}:runner", cluster.space);
    let bind = [
        "create",
        "clusterrolebinding",
        &role,
        "--clusterrole",
        "meshproof",
    ];
    let bind = [&bind[..], &["--serviceaccount", &account]].concat();
    output(kubectl(&bind), LIMIT).await?;
    let outcome = run_with_rights(cluster).await;
    let unbind = ["delete", "clusterrolebinding", &role];
    output(kubectl(&unbind), LIMIT).await?;
    output(kubectl(&["delete", "clusterrole", "meshproof"]), LIMIT).await?;
    outcome
}

async fn run_with_rights(cluster: &Cluster) -> Result<String, String> {
    let token = output(cluster.kubectl(&["create", "token", "runner"]), LIMIT).await?;
    let limited = kubeconfig_with(cluster, token.trim()).await?;
    let mut run = command(
        meshproof(),
        &["run", "--target", "cluster", "--context", "limited"],
    );
    run.env("KUBECONFIG", &limited)
        .args(["--testbed-image", "local/testbed:dev", "--istioctl"])
        .arg(cluster.target.istioctl().await?)
        .arg("--report-dir")
        .arg(cluster.scratch.path().join("report"))
        .args(SCENARIOS);
    let run = answer(run, RUN).await;
    let verdicts = "^[0-9]+ passed, 0 failed, 0 errors";
    matches(&run, verdicts)
}

/// A copy of the target's kubeconfig, with a context for the owner of the token.
async fn kubeconfig_with(cluster: &Cluster, token: &str) -> Result<PathBuf, String> {
    let limited = cluster.scratch.path().join("limited");
    let outside = cluster.target.kubeconfig().await?;
    fs::copy(&outside, &limited).map_err(|error| format!("{}: {error}", outside.display()))?;
    let path = limited.display().to_string();
    let config = |args: &[&str]| {
        let mut kubectl = command("kubectl", &["--kubeconfig", &path, "config"]);
        kubectl.args(args);
        output(kubectl, LIMIT)
    };
    let first = "jsonpath={.clusters[0].name}";
    let name = config(&["view", "-o", first]).await?;
    config(&["set-credentials", "limited", "--token", token]).await?;
    let context = [
        "set-context",
        "limited",
        "--cluster",
        &name,
        "--user",
        "limited",
    ];
    config(&context).await?;
    Ok(limited)
}
