//! Checks what a user is told when a kind cluster does not come up, that images can be pulled
//! through a registry mirror, and that `target status` finds what a killed harness leaves and
//! `target down` removes only that. Needs a container engine, and the node image and Istio's
//! images named by the variables of `scripts/kind-offline env`.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    time::Duration,
};

use meshproof::wait::{Look, until};
use nix::sys::{
    inotify::{InitFlags, Inotify},
    signal::Signal,
};
use serde_json::Value;
use tokio::{process::Command, time::sleep};

use super::{
    leaks::random,
    program::{Running, Said, answer, command, meshproof, number, output},
    tally::{Tally, tail},
};

/// How long a cluster may take to come up or to fail.
const UP: Duration = Duration::from_secs(600);
const DOCKER: Duration = Duration::from_secs(120);
/// Seconds after which a kill hits a run: with two idle cores a cluster is up after 45 s.
const RUN_FROM: f64 = 40.0;
/// Label filter for the containers of this check's cluster.
const OURS: &str = "label=io.x-k8s.kind.cluster=check";
/// Minimum size of the images of istiod and the proxies, in bytes.
const IMAGES: u64 = 10 << 20;

/// The check's cluster and its resources.
struct Kind {
    program: PathBuf,
    scratch: tempfile::TempDir,
    tally: Tally,
}

impl Kind {
    /// A meshproof command with its own state directory, so that it sees only this check's
    /// clusters.
    fn meshproof(&self, args: &[&str]) -> Command {
        let mut command = command(&self.program, args);
        command.env("XDG_STATE_HOME", self.path("state"));
        command
    }

    fn up(&self, args: &[&str]) -> Command {
        let up = ["target", "up", "--target", "kind", "--name", "check"];
        self.meshproof(&[&up, args].concat())
    }

    fn down(&self) -> Command {
        self.meshproof(&["target", "down", "--target", "kind", "--name", "check"])
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn word(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> String {
        fs::write(self.path(name), contents).expect("a file of ours");
        self.word(name)
    }

    /// Writes a kind configuration with this line.
    fn config(&self, line: &str) -> String {
        let text = format!("kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n{line}\n");
        self.write("kind.yaml", text)
    }

    /// Checks that the command fails with this message and leaves no container.
    async fn reported(&mut self, what: &str, part: &str, command: Command) {
        let answer = answer(command, UP).await;
        let left = containers(&["--filter", OURS]).await;
        let outcome = reported(&answer, part, left);
        self.tally.add(what, outcome);
    }
}

fn reported(
    answer: &Said,
    part: &str,
    left: Result<Vec<String>, String>,
) -> Result<String, String> {
    let line = answer.text.lines().find(|line| line.contains(part));
    let left = left?;
    match (answer.status, line) {
        (Some(status), Some(line)) if status != 0 && left.is_empty() => {
            let message = line.rsplit(" failed: ").next().unwrap_or(line);
            Ok(format!(
                "exit {status}: {}",
                message.chars().take(200).collect::<String>()
            ))
        }
        _ => Err(format!(
            "expected {part:?} and no container, found containers {left:?}; {}",
            answer.reported()
        )),
    }
}

async fn docker(args: &[&str]) -> Result<String, String> {
    output(command("docker", args), DOCKER).await
}

/// Lists containers, including exited ones.
async fn containers(args: &[&str]) -> Result<Vec<String>, String> {
    let text = docker(&[&["ps", "--all", "--quiet"], args].concat()).await?;
    let mut ids: Vec<String> = text.lines().map(str::to_owned).collect();
    ids.sort();
    Ok(ids)
}

fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: eval \"$(scripts/kind-offline env)\""))
}

#[tokio::test]
#[ignore = "needs a container engine and the images of scripts/kind-offline: scripts/test --kind runs it"]
async fn a_kind_cluster_that_does_not_come_up_says_why_and_nothing_of_it_stays() {
    variable("MESHPROOF_NODE_IMAGE");
    if let Err(why) = docker(&["info"]).await {
        panic!("no container engine answers (scripts/kind-offline engine start): {why}");
    }
    let mut kind = Kind {
        program: meshproof(),
        scratch: tempfile::tempdir().expect("a directory"),
        tally: Tally::of("failures that keep a kind cluster from coming up").await,
    };
    programs_are_missing(&mut kind).await;
    words_are_wrong(&mut kind).await;
    things_are_taken(&mut kind).await;
    images_are_wrong(&mut kind).await;
    another_user(&mut kind).await;
    let mirrored = mirrored(&kind).await;
    kind.tally.add("images through a mirror", mirrored);
    killed(&mut kind).await;
    kind.tally.finish();
}

async fn programs_are_missing(kind: &mut Kind) {
    let bin = kind.path("bin");
    fs::create_dir(&bin).expect("a directory");
    for tool in ["sh", "bash", "cat"] {
        symlink(Path::new("/bin").join(tool), bin.join(tool)).expect("a link");
    }
    let mut none = kind.up(&[]);
    none.env("PATH", &bin);
    kind.reported("no docker client", "`docker` not found in PATH", none)
        .await;
    let mut nowhere = kind.up(&[]);
    nowhere.env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    kind.reported("no engine", "no container engine answers", nowhere)
        .await;
    let mut nowhere = kind.up(&[]);
    nowhere.env("MESHPROOF_KIND", "/nowhere/kind");
    kind.reported("no kind", "`/nowhere/kind` not found in PATH", nowhere)
        .await;
    let other = kind.up(&["--istio", "1.2.3"]);
    let part = "put the istioctl of Istio 1.2.3 in PATH";
    kind.reported("istioctl of another version", part, other)
        .await;
}

async fn words_are_wrong(kind: &mut Kind) {
    let refused = kind.meshproof(&["target", "up", "--target", "kind", "--name", "Check_"]);
    let part = "invalid kind cluster name";
    kind.reported("a name that kind rejects", part, refused)
        .await;
    let damaged = kind.write("damaged.tar", vec![7; 4096]);
    let up = kind.up(&["--image-archive", &damaged]);
    let part = "not an uncompressed archive from `docker save`";
    kind.reported("damaged image archive", part, up).await;
    let nodez = kind.config("nodez: []");
    let up = kind.up(&["--nodes", &nodez]);
    let part = "has a field that this version of kind does not support";
    kind.reported("unknown field", part, up).await;
}

async fn things_are_taken(kind: &mut Kind) {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port();
    let config = kind.config(&format!("networking: {{apiServerPort: {port}}}"));
    let up = kind.up(&["--nodes", &config]);
    let part = "a port in the kind configuration is already in use";
    kind.reported("port taken", part, up).await;
    drop(taken);
    let mut instances = Vec::new();
    while let Ok(instance) = Inotify::init(InitFlags::IN_CLOEXEC) {
        instances.push(instance);
    }
    let up = kind.up(&[]);
    kind.reported("no inotify instance", "inotify", up).await;
}

async fn images_are_wrong(kind: &mut Kind) {
    let missing = kind.up(&["--node-image", "local/nothing:1"]);
    let part = "the node image is not on this machine";
    kind.reported("missing node image", part, missing).await;
    match no_node(kind).await {
        Ok(()) => {
            let up = kind.up(&["--node-image", NO_NODE]);
            let part = "its systemd did not come up";
            kind.reported("an image that is not a node image", part, up)
                .await;
            if let Err(why) = docker(&["rmi", NO_NODE]).await {
                kind.tally
                    .add("the image that is not a node image is removed", Err(why));
            }
        }
        Err(why) => kind
            .tally
            .add("an image that is not a node image", Err(why)),
    }
    let up = kind.up(&["--tag", "no-such-tag"]);
    kind.reported("Istio's image missing", "no-such-tag", up)
        .await;
}

const NO_NODE: &str = "local/check-not-a-node:1";

/// An image without systemd: its container exits at once.
async fn no_node(kind: &Kind) -> Result<(), String> {
    let folder = kind.path("no-node");
    fs::create_dir(&folder).map_err(|error| error.to_string())?;
    let testbed = kind.program.with_file_name("testbed");
    fs::copy(&testbed, folder.join("testbed"))
        .map_err(|error| format!("{}: {error}", testbed.display()))?;
    let recipe = "FROM scratch\nCOPY testbed /\nENTRYPOINT [\"/testbed\"]\n";
    fs::write(folder.join("Dockerfile"), recipe).map_err(|error| error.to_string())?;
    let mut build = command("docker", &["build", "--quiet", "--tag", NO_NODE]);
    build.arg(&folder).env("DOCKER_BUILDKIT", "0");
    output(build, DOCKER).await.map(|_| ())
}

/// A user without access to the engine, and the files that this user needs in a directory that it
/// can read.
async fn another_user(kind: &mut Kind) {
    if !nix::unistd::Uid::effective().is_root() {
        return; // only root can switch to another user
    }
    match other_user_may_read(kind).await {
        Ok(other) => {
            let id = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
            let mut up = command("setpriv", &id);
            up.arg(other.join("meshproof"))
                .args(["target", "up", "--target", "kind", "--name", "check"])
                .env_remove("MESHPROOF_IMAGE_ARCHIVES")
                .env("HOME", "/nonexistent")
                .env("XDG_STATE_HOME", kind.path("theirs"))
                .env("MESHPROOF_KIND", other.join("kind"))
                .env("MESHPROOF_ISTIOCTL", other.join("istioctl"));
            let part = "this user may not use Docker";
            kind.reported("no access to the engine", part, up).await;
        }
        Err(why) => kind.tally.add("no access to the engine", Err(why)),
    }
}

async fn other_user_may_read(kind: &Kind) -> Result<PathBuf, String> {
    let other = kind.path("other");
    fs::create_dir(&other).map_err(|error| error.to_string())?;
    let istioctl = set_of(kind, "control plane").await?.join("bin/istioctl");
    for (from, name) in [
        (kind.program.clone(), "meshproof"),
        (kind.program.with_file_name("testbed"), "testbed"),
        (istioctl, "istioctl"),
        (PathBuf::from(variable("MESHPROOF_KIND")), "kind"),
    ] {
        let to = other.join(name);
        fs::copy(&from, &to).map_err(|error| format!("{}: {error}", from.display()))?;
        open(&to, 0o755)?;
    }
    open(&other, 0o755)?;
    open(kind.scratch.path(), 0o711)?;
    Ok(other)
}

fn open(path: &Path, mode: u32) -> Result<(), String> {
    let mode = fs::Permissions::from_mode(mode);
    fs::set_permissions(path, mode).map_err(|error| format!("{}: {error}", path.display()))
}

/// The directory of a set in the tool chain.
async fn set_of(kind: &Kind, name: &str) -> Result<PathBuf, String> {
    let status = kind.meshproof(&["toolchain", "status", "--kind", "--output", "json"]);
    let text = output(status, DOCKER).await?;
    let status: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let mut sets = status["sets"].as_array().into_iter().flatten();
    let set = sets.find(|set| set["name"] == name);
    let path = set.and_then(|set| set["path"].as_str()).map(PathBuf::from);
    path.ok_or_else(|| {
        format!("the tool chain has no set {name}: run `meshproof toolchain prepare --kind`")
    })
}

/// Starts a registry with Istio's images on this machine, which no node can reach. Nodes without
/// these images pull them through a mirror.
async fn mirrored(kind: &Kind) -> Result<String, String> {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let port = free.map_err(|error| error.to_string())?.port();
    let host = format!("localhost:{port}");
    let _registry = registry(kind, port).await?;
    push(&host).await?;
    let mut up = kind.up(&[
        "--hub",
        &format!("{host}/istio"),
        "--registry-mirror",
        &host,
    ]);
    up.env_remove("MESHPROOF_IMAGE_ARCHIVES");
    let up = answer(up, UP).await;
    let cache = mirror_of(port);
    let kept = bytes(&cache);
    let down = answer(kind.down(), UP).await;
    let _ = fs::remove_dir_all(&cache); // it does not exist if no image was pulled, which is reported below
    if !up.ok() || !down.ok() || kept < IMAGES {
        return Err(format!(
            "{kept} bytes cached; up: {}; down: {}",
            up.reported(),
            down.reported()
        ));
    }
    let istio = up
        .text
        .lines()
        .find(|line| line.starts_with("Istio"))
        .unwrap_or_default();
    Ok(format!("{istio}, {} MB cached", kept >> 20))
}

async fn registry(kind: &Kind, port: u16) -> Result<Running, String> {
    let program = set_of(kind, "registry").await?.join("bin/registry");
    let root = kind.word("upstream");
    let config = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {root}}}}}\nhttp: {{addr: \"127.0.0.1:{port}\"}}\n"
    );
    let config = kind.write("upstream.yml", config);
    let mut serve = command(program, &["serve", &config]);
    serve.env("OTEL_TRACES_EXPORTER", "none");
    let registry = Running::start(serve);
    let listens = until(Duration::from_secs(20), async |_| {
        Ok::<_, String>(match TcpStream::connect(("127.0.0.1", port)) {
            Ok(_) => Look::Met(()),
            Err(error) => Look::Unmet(format!("{error}; {}", tail(&registry.text(), 3))),
        })
    });
    listens
        .await
        .map_err(|error| format!("the registry did not start to listen: {error}"))?;
    Ok(registry)
}

/// Pushes Istio's images to the registry and removes them from the engine.
async fn push(host: &str) -> Result<(), String> {
    for archive in variable("MESHPROOF_IMAGE_ARCHIVES").split_whitespace() {
        docker(&["load", "--quiet", "--input", archive]).await?;
    }
    let (hub, tag) = (variable("MESHPROOF_HUB"), variable("MESHPROOF_TAG"));
    for image in ["pilot", "proxyv2"] {
        let (from, to) = (
            format!("{hub}/{image}:{tag}"),
            format!("{host}/istio/{image}:{tag}"),
        );
        docker(&["tag", &from, &to]).await?;
        docker(&["push", "--quiet", &to]).await?;
        docker(&["rmi", &from, &to]).await?;
    }
    Ok(())
}

/// The directory in which meshproof caches images of a registry on this machine.
fn mirror_of(port: u16) -> PathBuf {
    let home = || PathBuf::from(variable("HOME")).join(".cache");
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
    cache.join(format!("meshproof/mirror/localhost-{port}"))
}

/// Total size of the files below a directory.
fn bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => bytes(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// Kills the harness with SIGKILL at a random moment; then `target status` must find what is
/// left, and `target down` must remove it.
async fn killed(kind: &mut Kind) {
    let (tries, most) = (number("CHECK_TRIES", 2), number("CHECK_SECONDS", 60));
    let report = kind.word("report");
    for tried in 1..=tries {
        let up = kind.up(&[]);
        killed_at(
            kind,
            &format!("kill -9 of a bring-up, {tried}"),
            random(most),
            up,
        )
        .await;
    }
    for tried in 1..=tries {
        let run = [
            "run",
            "--target",
            "kind",
            "--name",
            "check",
            "--report-dir",
            &report,
            "balancing",
            "retries",
        ];
        let run = kind.meshproof(&run);
        killed_at(
            kind,
            &format!("kill -9 of a run, {tried}"),
            RUN_FROM + random(most),
            run,
        )
        .await;
    }
}

async fn killed_at(kind: &mut Kind, what: &str, seconds: f64, command: Command) {
    let before = containers(&[]).await;
    let mut running = Running::start(command);
    sleep(Duration::from_secs_f64(seconds)).await; // the moment of the kill is varied on purpose
    running.signal(Signal::SIGKILL);
    running.ended(Duration::from_secs(10)).await;
    let outcome = removed(kind, before).await;
    kind.tally
        .add(&format!("{what} after {seconds:.1} s"), outcome);
}

async fn removed(kind: &Kind, before: Result<Vec<String>, String>) -> Result<String, String> {
    let status = output(kind.meshproof(&["target", "status"]), DOCKER).await?;
    if status.contains("used by a run") {
        return Err(format!(
            "status reports that the harness still runs: {status}"
        ));
    }
    let there = !containers(&["--filter", OURS]).await?.is_empty();
    let mut down = "there was nothing to remove".to_owned();
    if there || kind.path("state/meshproof/kind/check").is_dir() {
        down = answer(kind.down(), UP).await.text;
    }
    let (before, now) = (before?, containers(&[]).await?);
    let creating = answer(
        command("pgrep", &["-f", "kind create cluster .*--name check"]),
        DOCKER,
    )
    .await;
    match now == before && !creating.ok() {
        true => {
            let line = status
                .lines()
                .find(|line| line.contains("check"))
                .unwrap_or("none is up");
            Ok(format!("status: {line}; down: {}", tail(&down, 1)))
        }
        false => Err(format!(
            "status: {status}; down: {down}; containers before {before:?}, now {now:?}; kind still creates: {}",
            creating.text
        )),
    }
}
