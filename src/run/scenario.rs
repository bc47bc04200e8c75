//! Runs one scenario, from creating its namespace to its verdict.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    caption::caption,
    context::RunContext,
    error::ScenarioError,
    guard,
    kept::{keep, kept, reported},
    namespace::{
        control,
        create::{NamespaceFailure, Request},
        give_back, mutated, pod_evidence,
        scenario_namespace::ScenarioNamespace,
    },
    probe,
    state::Run,
    step::{certificates, change, compare, configuration, expect_rejected, istiod},
    stop::Stop,
};
use crate::{
    cluster::object::Written,
    errors::Trouble,
    event::{EventKind, ScenarioEnd},
    plan::{PlanEntry, isolation::OUTSIDE},
    scenario::{
        StepNumber,
        known::Known,
        loaded::LoadedScenario,
        model::Workload,
        objects,
        verb::{
            Step,
            apply::Apply,
            background::Background,
            contrast::Contrast,
            delete::Delete,
            restart::{ISTIOD, Restart},
            spec::{Fate, File},
        },
        workload_file,
    },
    verdict::{
        conclude::{Conclusion, scenario_verdict},
        guard::Times,
        outcome::{Check, CheckResult},
    },
};

/// Runs a scenario and emits its events. Never fails: an error becomes the verdict.
pub async fn run(
    ctx: &Arc<RunContext>,
    entry: &PlanEntry,
    number: usize,
    known: Option<&Known>,
) -> ScenarioEnd {
    let start = Instant::now();
    let loaded = &entry.loaded;
    ctx.recorder.emit(EventKind::ScenarioStarted {
        id: loaded.id.clone(),
        attempt: loaded.attempt,
    });
    let Attempt {
        checks,
        errors,
        samples,
        floor_ms,
    } = attempt(ctx, entry, number).await;
    let Conclusion {
        verdict,
        cause,
        class,
    } = scenario_verdict(&checks, &errors, known);
    ScenarioEnd {
        id: loaded.id.clone(),
        attempt: loaded.attempt,
        verdict,
        cause,
        class,
        wall_ms: millis(start.elapsed()),
        min_ms: floor_ms,
        samples,
        known: known
            .map(|known| known.link.clone())
            .filter(|_| verdict != crate::verdict::outcome::Verdict::Pass),
    }
}

/// The results of a scenario.
#[derive(Default)]
struct Attempt {
    checks: Vec<Check>,
    errors: Vec<Trouble>,
    samples: BTreeMap<String, u64>,
    floor_ms: u64,
}

async fn attempt(ctx: &Arc<RunContext>, entry: &PlanEntry, number: usize) -> Attempt {
    let loaded = &entry.loaded;
    let unmade = |error: &ScenarioError| Attempt {
        errors: vec![Trouble::of(error)],
        ..Attempt::default()
    };
    let workloads = match workloads(ctx, loaded) {
        Ok(workloads) => workloads,
        Err(error) => return unmade(&error),
    };
    let request = Request {
        id: &loaded.id,
        number,
        workloads: &workloads,
        isolation: &entry.isolation,
        gateway: probe::uses_gateway(ctx, loaded),
        outside: loaded.scenario.needs.iter().any(|need| need == OUTSIDE),
    };
    let ns = ScenarioNamespace::create(ctx, &request).await;
    let ns = ns.map_err(|unmade| {
        let NamespaceFailure { error, evidence } = *unmade;
        keep(ctx, loaded, evidence);
        Stop::from(error)
    });
    let began = tokio::time::Instant::now();
    match ns {
        Ok(ns) => judged(Run::new(ctx, loaded, ns), began).await,
        Err(Stop::Unknown(error)) => unmade(&ScenarioError::World(*error)),
        Err(Stop::Fault(check)) => {
            reported(ctx, loaded, StepNumber::WORLD, &check);
            Attempt {
                checks: vec![*check],
                ..Attempt::default()
            }
        }
    }
}

/// Runs the steps, and then checks the conditions under which their results are valid.
async fn judged(mut run: Run<'_>, began: tokio::time::Instant) -> Attempt {
    let (ctx, loaded) = (run.ctx, run.loaded);
    run.note_claims();
    let mut errors: Vec<ScenarioError> = run.steps().await.err().into_iter().collect();
    let background = run.end_background().await;
    errors.extend(background.err().map(ScenarioError::Background));
    #[cfg(feature = "browser")]
    if let Some(browsing) = run.browsing.take() {
        browsing.close().await;
    }
    let untaken = mutated::untaken(ctx, loaded, &run.ns.taken);
    errors.extend(untaken.map(ScenarioError::from));
    if errors.is_empty() {
        let control = control::check(ctx, &run.ns, loaded).await;
        errors.extend(control.err().map(ScenarioError::from));
    }
    let mut errors: Vec<Trouble> = errors.iter().map(Trouble::of).collect();
    if let Some(first) = errors.first_mut() {
        run.explain(first, began).await;
    }
    run.keep_evidence(!errors.is_empty()).await;
    run.clean_up(!errors.is_empty()).await;
    Attempt {
        checks: run.checks,
        errors,
        samples: run.samples,
        floor_ms: run.min_ms,
    }
}

/// Returns the workloads with the documents of their files.
fn workloads(
    ctx: &RunContext,
    loaded: &LoadedScenario,
) -> Result<Vec<(Workload, Vec<Value>)>, ScenarioError> {
    let each = loaded.scenario.workloads.iter().map(|workload| {
        let found = workload_file::workload(loaded, &workload.template);
        let (file, text) = found.map_err(ScenarioError::Workload)?;
        let documents = objects::values(&ctx.text(&file, text));
        let documents = documents.map_err(|source| ScenarioError::Documents { file, source })?;
        documents
            .iter()
            .for_each(|object| ctx.redactor.register_object(object));
        Ok((workload.clone(), documents))
    });
    each.collect()
}

impl Run<'_> {
    /// Records what the verdicts depend on: times in the scenario's configuration, and workloads
    /// whose readiness the scenario itself asserts.
    fn note_claims(&self) {
        let mut times = Times::default();
        for step in &self.loaded.scenario.steps {
            if let Step::ExpectReady(ready) = step {
                self.ns.guard.claim_readiness(&ready.workload);
            }
            let file = step.file().filter(|file| file.fate == Fate::Taken);
            let Some(File { name, .. }) = file else {
                continue;
            };
            // The file's own step reports that it cannot be read.
            let objects = configuration::manifest(self, name).unwrap_or_default();
            objects.iter().for_each(|object| times.configured(object));
        }
        // It is set only here.
        let _ = self.ns.times.set(times);
    }

    /// Puts the cause of a step's error, if it is known, before the error, and takes over the
    /// class of the cause.
    async fn explain(&self, error: &mut Trouble, began: tokio::time::Instant) {
        let gateway = probe::uses_gateway(self.ctx, self.loaded);
        let mut known = guard::judge::gather(self.ctx, &self.ns, gateway, began, true).await;
        known.stalls.extend(self.ctx.guards.api.since(began));
        if let Some(cause) = known.cause() {
            *error = Trouble::new(format!("{cause}: {error}"), cause.class);
        }
    }

    async fn steps(&mut self) -> Result<(), ScenarioError> {
        let scenario = &self.loaded.scenario;
        for (number, step) in scenario.numbered_steps() {
            let (start, id) = (Instant::now(), self.loaded.id.clone());
            let what = step.describe();
            self.ctx.recorder.emit(EventKind::StepStarted {
                id: id.clone(),
                attempt: self.loaded.attempt,
                step: number,
                what: what.clone(),
            });
            let (error, over) = match self.step(number, step).await {
                Ok(()) => (None, false),
                Err(Stop::Unknown(error)) => (Some(error), true),
                Err(Stop::Fault(check)) => {
                    self.checked(number, *check);
                    (None, true)
                }
            };
            let trouble = error.as_deref().map(Trouble::of);
            self.ctx.recorder.emit(EventKind::StepEnded {
                id,
                attempt: self.loaded.attempt,
                step: number,
                ms: millis(start.elapsed()),
                class: trouble.as_ref().map(|trouble| trouble.class),
                error: trouble.map(|trouble| trouble.message),
            });
            if let Some(source) = error {
                return Err(ScenarioError::Step {
                    number,
                    what,
                    source,
                });
            }
            if over {
                break;
            }
        }
        Ok(())
    }

    async fn step(&mut self, number: StepNumber, step: &Step) -> Result<(), Stop> {
        match step {
            Step::Apply(Apply(name)) => configuration::apply(self, name).await?,
            Step::Delete(Delete(name)) => configuration::delete(self, name).await?,
            Step::Scale(scale) => configuration::scale(self, scale).await?,
            Step::Restart(Restart(workload)) if workload == ISTIOD => {
                self.ctx.guards.istiod.ask(workload);
                let mut proxies = self.ns.proxies(self.ctx);
                proxies.extend(self.ctx.mesh.gateways.iter().cloned());
                istiod::restart(self.ctx, &proxies).await?;
            }
            Step::Restart(Restart(workload)) => configuration::restart(self, workload).await?,
            Step::Certificate(step) => certificates::certificate(self, step).await?,
            Step::ExpectRejected(step) => {
                let check = expect_rejected::refused(self, step).await?;
                self.checked(number, check);
            }
            Step::ConfigureServer(step) => change::configure_server(self, step).await?,
            Step::Churn(churn) => change::churn(self, churn).await?,
            Step::WaitForStat(step) => change::wait_for_stat(self, step).await?,
            Step::ExpectReady(ready) => {
                let check = change::expect_ready(self, ready).await?;
                self.checked(number, check);
            }
            Step::StopBackground(step) => self.stop_background(step).await?,
            Step::Compare(step) => compare::compare(self, number, step).await?,
            Step::Probe(_) => self.probe(number, step, &[]).await?,
            Step::Contrast(Contrast { must_fail, .. }) => {
                self.probe(number, step, must_fail).await?
            }
            Step::Converge(converge) => self.converge(number, step, converge).await?,
            Step::Background(Background(name)) => {
                self.start_background(number, name, step).await?;
            }
        }
        Ok(())
    }

    async fn keep_evidence(&mut self, failed: bool) {
        let Some(bundle) = self.ctx.bundle.clone() else {
            return;
        };
        let refuted = self
            .checks
            .iter()
            .any(|check| (check.result == CheckResult::Holds) == check.contrast);
        let mut all = std::mem::take(&mut self.evidence);
        if failed || refuted {
            all.extend(self.manifests().evidence());
            all.extend(pod_evidence::pod_evidence(self.ctx, &self.ns.name).await);
        }
        keep(self.ctx, self.loaded, all);
        for (name, bytes) in std::mem::take(&mut self.pictures) {
            kept(
                self.ctx,
                self.loaded,
                caption(&name),
                bundle.picture(&self.loaded.folder(), &name, &bytes),
            );
        }
    }

    async fn clean_up(&self, failed: bool) {
        let refuted = self
            .checks
            .iter()
            .any(|check| (check.result == CheckResult::Holds) == check.contrast);
        let written: Vec<Written> = self.applied.values().flatten().cloned().collect();
        let clean = !failed && !refuted;
        // Under a mutation, a failure says nothing about the pods.
        let reusable = clean || (!failed && self.ctx.session.mutation.is_some());
        if reusable && self.ns.is_shared() {
            let gateway = probe::uses_gateway(self.ctx, self.loaded);
            let (ns, id) = (Arc::clone(&self.ns), self.loaded.id.clone());
            give_back::start(self.ctx, ns, written, gateway, id);
            return;
        }
        let keep = self.ctx.session.keep_failed && !clean;
        self.ns.end(self.ctx, &written, keep).await;
        if self.ns.is_shared() {
            self.ctx.pool.lose();
        }
    }
}

/// Milliseconds, saturating.
pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
