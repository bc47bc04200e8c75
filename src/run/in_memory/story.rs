//! Scenarios for a world in memory, and the events of their run.

use std::{collections::BTreeMap, fs, path::Path};

use tokio_util::sync::CancellationToken;

use super::world::{ADDRESS, World};
use crate::{
    event::{EventKind, ScenarioEnd},
    plan::{PlanEntry, PlanOptions, plan},
    run::{
        context::CleanupPolicy,
        engine::{self, EngineOptions},
        testing::{Stage, scenarios},
    },
    scenario::{LoadedScenario, known::Known},
    seed::Seed,
    verdict::{
        Rates,
        outcome::{Check, Verdict},
    },
};

/// One scenario at a time, without fail-fast.
pub const OPTIONS: EngineOptions = EngineOptions {
    jobs: 1,
    fail_fast: false,
};

/// Returns a workload of one pod, without a Service: there is no name resolution here.
fn workload(name: &str, role: &str, port: u16) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  replicas: 1\n  template:\n    spec:\n      \
         containers:\n      - {{name: testbed, image: \"local/testbed:dev\", args: [{role}], ports: [{{containerPort: {port}}}]}}\n"
    )
}

/// Returns a scenario whose server has the address with this number, and whose caller has the
/// next. Its probes:
///
/// - `fine`: three calls that succeed, as claimed
/// - `miscounted`: a call that succeeds, with the claim that it takes two attempts
/// - `failing`: calls that fail by their script, with the claim that they succeed
/// - `hanging`: a call without an answer
///
/// `more` contains further keys, `steps` is the list of steps.
pub fn story(world: &World, number: u8, more: &str, steps: &str) -> String {
    let greeter = world.address(number);
    let call = format!("call: mypackage.Greeter/SayHello, from: caller, to: \"{greeter}:50051\"");
    let at = |number: u8| format!("annotations: {{{ADDRESS}: \"{number}\"}}");
    format!(
        "title: A claim\nwhy: A reason.\nsource: [a document]\nproves: [B1]\n{more}workloads:\n\
         - {{name: caller, template: bare-caller, {caller}}}\n- {{name: greeter, template: bare-greeter, {server}}}\nprobes:\n  \
         fine: {{{call}, times: 3, expect: {{status: OK, attempts: \"1\"}}}}\n  \
         miscounted: {{{call}, expect: {{attempts: \"2\"}}}}\n  \
         failing: {{{call}, script: {{status: UNAVAILABLE}}, expect: {{status: OK}}}}\n  \
         hanging: {{{call}, script: {{delay_ms: 60000}}, expect: {{status: OK}}}}\nsteps:\n{steps}\n",
        caller = at(number + 1),
        server = at(number),
    )
}

/// The options of a run that a test can set.
pub struct Play<'a> {
    pub world: &'a World,
    pub stories: Vec<(&'a str, String)>,
    pub options: EngineOptions,
    pub cleanup: CleanupPolicy,
    pub keep_failed: bool,
    pub known: BTreeMap<String, Known>,
    pub cancel: CancellationToken,
}

impl<'a> Play<'a> {
    /// Creates a run of these scenarios of the suite `area`.
    pub fn of(world: &'a World, stories: Vec<(&'a str, String)>) -> Self {
        Self {
            world,
            stories,
            options: OPTIONS,
            cleanup: CleanupPolicy::Deleted,
            keep_failed: false,
            known: BTreeMap::new(),
            cancel: CancellationToken::new(),
        }
    }

    /// Runs each of them `times` times.
    pub async fn run_times(self, times: usize) -> Told {
        let root = tempfile::tempdir().expect("a directory");
        let loaded = self.load(root.path());
        let entries = entries(std::iter::repeat_n(loaded, times).flatten().collect());
        let mut stage = Stage::on(self.world, self.cleanup, self.keep_failed);
        engine::run(
            &stage.ctx,
            &entries,
            &self.known,
            self.options,
            &self.cancel,
        )
        .await;
        Told(stage.reported())
    }

    /// Runs them.
    pub async fn run(self) -> Told {
        self.run_times(1).await
    }

    fn load(&self, root: &Path) -> Vec<LoadedScenario> {
        let folder = root.join("suites/area");
        fs::create_dir_all(&folder).expect("a folder");
        for (name, role, port) in [
            ("bare-caller", "caller", 15999),
            ("bare-greeter", "server", 50051),
        ] {
            let file = folder.join(format!("{name}.yaml"));
            fs::write(file, workload(name, role, port)).expect("a file");
        }
        scenarios(root, &self.stories)
    }
}

fn entries(scenarios: Vec<LoadedScenario>) -> Vec<PlanEntry> {
    let options = PlanOptions {
        rates: Rates::default(),
        seed: Seed::new(7),
        jobs: 1,
        alike: true,
    };
    plan(scenarios, options, None).entries
}

/// The events of a run.
#[derive(Debug)]
pub struct Told(pub Vec<EventKind>);

impl Told {
    pub fn ends(&self) -> Vec<&ScenarioEnd> {
        let ends = self.0.iter().filter_map(|kind| match kind {
            EventKind::ScenarioEnded(end) => Some(&**end),
            _ => None,
        });
        ends.collect()
    }

    /// Returns the verdict and the cause of the only scenario that ended.
    pub fn end(&self) -> (Verdict, &str) {
        match &self.ends()[..] {
            [end] => (end.verdict, end.cause.as_str()),
            other => panic!("{other:?}"),
        }
    }

    /// Returns the verdicts by scenario, in the order in which they ended.
    pub fn verdicts(&self) -> Vec<(&str, Verdict)> {
        let ends = self.ends().into_iter();
        ends.map(|end| (end.id.as_str(), end.verdict)).collect()
    }

    pub fn checks(&self) -> Vec<&Check> {
        let checks = self.0.iter().filter_map(|kind| match kind {
            EventKind::Checked { check, .. } => Some(&**check),
            _ => None,
        });
        checks.collect()
    }

    /// Returns the scenarios that started, in order.
    pub fn starts(&self) -> Vec<&str> {
        let starts = self.0.iter().filter_map(|kind| match kind {
            EventKind::ScenarioStarted { id, .. } => Some(id.as_str()),
            _ => None,
        });
        starts.collect()
    }
}
