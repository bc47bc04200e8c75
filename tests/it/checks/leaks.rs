//! Checks that nothing is left behind, however a run ends: after a complete run, after SIGINT and
//! SIGTERM, and after kill -9 at random moments of bring-up and run.

use std::{
    collections::{BTreeSet, hash_map::RandomState},
    fs,
    hash::{BuildHasher as _, Hasher as _},
    path::PathBuf,
    time::Duration,
};

use nix::sys::signal::Signal;
use tokio::{process::Command, time::sleep};

use super::{
    machine::Ours,
    objects::Objects,
    program::{Running, command, meshproof, need_kubectl, number, output, words_of},
    tally::{Tally, tail},
    target::Target,
};

/// How long a complete run may take on a busy machine, including its bring-up.
const WHOLE: Duration = Duration::from_secs(300);
/// A run ends within 90 s of a signal.
const AFTER_SIGNAL: Duration = Duration::from_secs(100);
/// How soon everything that the kernel removes must be gone.
const SOON: Duration = Duration::from_secs(2);
/// Moments for SIGINT and SIGTERM in seconds: bring-up of the API server, of the mesh, of a
/// scenario.
const MOMENTS: [f64; 4] = [0.3, 1.5, 4.0, 8.0];

/// Runs of a scenario, each in its own mesh, and the state of the machine.
struct Runs {
    ours: Ours,
    before: BTreeSet<String>,
    scratch: tempfile::TempDir,
    tally: Tally,
}

impl Runs {
    async fn new() -> Self {
        let tally = Tally::of("a run leaves nothing behind").await;
        let scratch = tempfile::tempdir().expect("a directory");
        let folder = |name: &str| {
            let path = scratch.path().join(name);
            fs::create_dir_all(&path).expect("a directory");
            path
        };
        let ours = Ours {
            program: meshproof(),
            state: folder("run/meshproof"),
            scratch: folder("tmp"),
        };
        let before = ours.listed().await.unwrap_or_else(|why| panic!("{why}"));
        Self {
            ours,
            before,
            scratch,
            tally,
        }
    }

    fn report(&self) -> PathBuf {
        self.scratch.path().join("report")
    }

    /// A run whose state and scratch files go to directories that are compared.
    fn run(&self) -> Running {
        let mut run = command(&self.ours.program, &["run"]);
        run.args(words_of(
            "CHECK_SCENARIOS",
            "balancing/per-request-client-sidecar",
        ))
        .arg("--report-dir")
        .arg(self.report())
        .env("XDG_RUNTIME_DIR", self.scratch.path().join("run"))
        .env("TMPDIR", &self.ours.scratch);
        Running::start(run)
    }

    /// Records whether a run ended as expected, and whether the machine is as before.
    async fn ended(&mut self, what: &str, problem: Option<String>) {
        if let Some(problem) = problem {
            self.tally.add(what, Err(problem));
        }
        let left = self.ours.as_before(&mut self.before, SOON).await;
        let left = left.map_err(|left| format!("left behind:{left}"));
        self.tally
            .add(&format!("nothing is left behind after {what}"), left);
    }

    async fn whole(&mut self) {
        let mut run = self.run();
        let problem = match run.ended(WHOLE).await {
            Some(0) => None,
            status => Some(format!("status {status:?}: {}", tail(&run.text(), 20))),
        };
        self.ended("a complete run", problem).await;
    }

    /// Checks that the program cleans up after the signal, writes its report and exits with this
    /// status.
    async fn signalled(&mut self, signal: Signal, expected: i32, seconds: f64) {
        let what = format!("{signal} at {seconds} s");
        let _ = fs::remove_dir_all(self.report()); // the first run has not written it
        let mut run = self.run();
        moment(seconds).await;
        run.signal(signal);
        let status = run.ended(AFTER_SIGNAL).await;
        let over = status == Some(0) && run.text().contains("1 pass");
        let problem = if !over && status != Some(expected) {
            Some(format!(
                "status {status:?}, expected {expected}: {}",
                tail(&run.text(), 5)
            ))
        } else {
            let report = self.report().join("report.json");
            (!report.exists()).then(|| format!("no {}", report.display()))
        };
        self.ended(&what, problem).await;
    }

    async fn killed(&mut self, number: u64, seconds: f64) {
        let mut run = self.run();
        moment(seconds).await;
        run.signal(Signal::SIGKILL);
        let status = run.ended(SOON).await;
        let problem = (!matches!(status, Some(0 | 137))).then(|| format!("status {status:?}"));
        let what = format!("kill -9 no. {number} at {seconds:.2} s");
        self.ended(&what, problem).await;
    }
}

/// Waits for a fixed time and for no condition: the moment of a signal is varied on purpose.
async fn moment(seconds: f64) {
    sleep(Duration::from_secs_f64(seconds)).await;
}

/// A random moment within the first `most` seconds.
pub fn random(most: u64) -> f64 {
    let drawn = RandomState::new().build_hasher().finish() % 10_000;
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    f64::from(u32::try_from(drawn).unwrap_or_default()) / 10_000.0 * f64::from(most)
}

#[tokio::test]
#[ignore = "brings up local meshes and kills them: scripts/test runs it"]
async fn a_run_leaves_nothing_on_the_machine() {
    let mut runs = Runs::new().await;
    runs.whole().await;
    for seconds in MOMENTS {
        runs.signalled(Signal::SIGINT, 130, seconds).await;
        runs.signalled(Signal::SIGTERM, 143, seconds).await;
    }
    let most = number("CHECK_SECONDS", 12);
    for tried in 1..=number("CHECK_TRIES", 2) {
        runs.killed(tried, random(most)).await;
    }
    runs.tally.finish();
}

#[tokio::test]
#[ignore = "needs kubectl in PATH and a local mesh: scripts/test runs it"]
async fn objects_of_a_kept_target_are_as_before() {
    objects_are_as_before(Way::Kept).await;
}

#[tokio::test]
#[ignore = "needs kubectl in PATH and a local mesh: scripts/test runs it"]
async fn objects_of_a_cluster_are_as_before() {
    objects_are_as_before(Way::Cluster).await;
}

/// How runs reach an API server that outlives them.
#[derive(Clone, Copy)]
enum Way {
    /// A local target that is kept.
    Kept,
    /// `--target cluster`, with the API server of a kept target.
    Cluster,
}

/// A target, its objects, and the results of the runs on it.
struct Lasting {
    way: Way,
    target: Target,
    istioctl: String,
    objects: Objects,
    scratch: tempfile::TempDir,
}

impl Lasting {
    fn run(&self, scenarios: &[String]) -> Running {
        let mut run = self.way_there();
        run.args(["--jobs", "2", "--report-dir"])
            .arg(self.scratch.path().join("report"))
            .args(scenarios)
            .env("KUBECONFIG", &self.objects.kubeconfig);
        Running::start(run)
    }

    /// On a kept target: a whole run, which leaves its pool, so that the next run takes it over.
    async fn with_a_pool(&self) -> Result<(), String> {
        if matches!(self.way, Way::Cluster) {
            return Ok(());
        }
        let mut run = self.run(&["routing/metadata".to_owned()]);
        match run.ended(WHOLE).await {
            Some(0) => Ok(()),
            status => Err(format!("status {status:?}: {}", tail(&run.text(), 5))),
        }
    }

    /// Removes the pool that the last run has left.
    async fn without_a_pool(&self) -> Result<(), String> {
        if matches!(self.way, Way::Cluster) {
            return Ok(());
        }
        let gc = ["target", "gc", "--target", "local", "--all"];
        output(self.target.command(&gc, &[]), WHOLE).await.map(drop)
    }

    fn way_there(&self) -> Command {
        match self.way {
            Way::Kept => self.target.command(&["run", "--target", "local"], &[]),
            Way::Cluster => {
                let context = ["--context", "meshproof-local"];
                let mut run = command(meshproof(), &["run", "--target", "cluster"]);
                run.args(context)
                    .args(["--testbed-image", "local/testbed:dev"])
                    .args(["--istioctl", &self.istioctl]);
                run
            }
        }
    }
}

async fn objects_are_as_before(way: Way) {
    need_kubectl();
    let title = match way {
        Way::Kept => "the objects of a kept target",
        Way::Cluster => "the objects of a cluster",
    };
    let mut tally = Tally::of(title).await;
    let mut lasting = lasting(way).await.unwrap_or_else(|why| panic!("{why}"));
    tally.begin();
    let most = number("CHECK_SECONDS", 8);
    let default = "routing/metadata routing/canary balancing/per-request-client-sidecar";
    let scenarios = words_of("CHECK_SCENARIOS", default);
    for tried in 1..=number("CHECK_TRIES", 2) {
        interrupted(
            &mut lasting,
            &mut tally,
            &scenarios,
            0.5 + random(most),
            tried,
        )
        .await;
        killed(
            &mut lasting,
            &mut tally,
            &scenarios,
            0.5 + random(most),
            tried,
        )
        .await;
    }
    let removed = lasting.objects.remove_alikes().await;
    tally.add(
        "objects that only look like a run's are left alone",
        removed,
    );
    drop(lasting); // before the next test begins
    tally.finish();
}

async fn lasting(way: Way) -> Result<Lasting, String> {
    let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
    let target = Target::up("leaks").await?;
    let kubeconfig = scratch.path().join("kubeconfig");
    let outside = target.kubeconfig().await?;
    fs::copy(&outside, &kubeconfig).map_err(|error| format!("{}: {error}", outside.display()))?;
    let istioctl = target.istioctl().await?;
    let objects = Objects::with_alikes(kubeconfig).await?;
    Ok(Lasting {
        way,
        target,
        istioctl,
        objects,
        scratch,
    })
}

async fn interrupted(
    lasting: &mut Lasting,
    tally: &mut Tally,
    scenarios: &[String],
    seconds: f64,
    tried: u64,
) {
    if let Err(problem) = lasting.with_a_pool().await {
        tally.add("a run that leaves its pool", Err(problem));
    }
    let mut run = lasting.run(scenarios);
    moment(seconds).await;
    let alive = lasting.objects.namespaces_of_runs().await;
    run.signal(Signal::SIGINT);
    let what = format!("SIGINT no. {tried} at {seconds:.2} s, with {alive}");
    match run.ended(AFTER_SIGNAL).await {
        Some(0 | 130) => {}
        status => tally.add(
            &what,
            Err(format!(
                "status {status:?}, expected 130: {}",
                tail(&run.text(), 5)
            )),
        ),
    }
    let left = lasting.objects.as_before(Duration::from_secs(3)).await;
    tally.add(&format!("no changes after {what}"), left);
}

/// Kills a run and starts another, which sweeps when it begins and is ended as soon as it has.
async fn killed(
    lasting: &mut Lasting,
    tally: &mut Tally,
    scenarios: &[String],
    seconds: f64,
    tried: u64,
) {
    if let Err(problem) = lasting.with_a_pool().await {
        tally.add("a run that leaves its pool", Err(problem));
    }
    let mut run = lasting.run(scenarios);
    moment(seconds).await;
    let alive = lasting.objects.namespaces_of_runs().await;
    run.signal(Signal::SIGKILL);
    run.ended(SOON).await;
    let what = format!("kill -9 no. {tried} at {seconds:.2} s, with {alive}, and one more run");
    let mut next = lasting.run(&["routing/metadata".to_owned()]);
    match next.ended(WHOLE).await {
        Some(0) => {}
        status => tally.add(
            &what,
            Err(format!(
                "the next run: status {status:?}: {}",
                tail(&next.text(), 5)
            )),
        ),
    }
    if let Err(problem) = lasting.without_a_pool().await {
        tally.add("`target gc --all` removes the pool", Err(problem));
    }
    let left = lasting.objects.as_before(Duration::from_secs(30)).await;
    tally.add(&format!("no changes after {what}"), left);
}
