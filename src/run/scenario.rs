//! One scenario from its namespace to its verdict.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::time::sleep;

use super::{
    background::Background,
    busy::{self, Holding},
    caption::caption,
    certificates, change,
    context::Context,
    event::{Kind, ScenarioEnd},
    guard, istiod,
    manifests::Manifests,
    mutated,
    place::{self, Place, Unmade},
    probe::{self, Manner, Outcome},
    refused, steps,
    stop::Stop,
    versus,
};
use crate::{
    cluster::object::Written,
    fixture::files,
    plan::step_probes,
    report::WriteError,
    scenario::{
        Loaded, ResolvedProbe, StepNumber,
        explain::step_words,
        model::{Churn, Contrast, Converge, Step, Workload},
        model_web::Browser,
        objects,
    },
    verdict::{
        Rates,
        conclude::{Known, scenario_verdict},
        guard::Times,
        moved::Owners,
        outcome::{Check, CheckResult},
    },
};

/// Word of `needs` with which a scenario may write outside its own namespace.
pub const OUTSIDE: &str = "outside-namespace";

/// A scenario at work.
pub struct Run<'a> {
    pub ctx: &'a std::sync::Arc<Context>,
    pub loaded: &'a Loaded,
    pub place: std::sync::Arc<Place>,
    /// Objects by the name of the `apply` that wrote them.
    pub applied: BTreeMap<String, Vec<Written>>,
    checks: Vec<Check>,
    samples: BTreeMap<String, u64>,
    pub floor_ms: u64,
    evidence: Vec<(String, String)>,
    manifests: Mutex<Manifests>,
    pictures: Vec<(String, Vec<u8>)>,
    #[cfg(feature = "browser")]
    browsing: Option<super::browse::Browsing>,
    pub(super) background: Vec<Background>,
    /// Which pod answered which key in the last run of each probe.
    owners: BTreeMap<String, Owners>,
    runs: usize,
}

/// Runs a scenario and tells of it. Never fails: what goes wrong is the verdict.
pub async fn run(
    ctx: &std::sync::Arc<Context>,
    loaded: &Loaded,
    number: usize,
    known: Option<&Known>,
) -> ScenarioEnd {
    let start = Instant::now();
    ctx.recorder.emit(Kind::ScenarioStarted {
        id: loaded.id.clone(),
        attempt: loaded.attempt,
    });
    let (checks, errors, samples, floor_ms) = attempt(ctx, loaded, number).await;
    let (verdict, cause) = scenario_verdict(&checks, &errors, known);
    ScenarioEnd {
        id: loaded.id.clone(),
        attempt: loaded.attempt,
        verdict,
        cause,
        wall_ms: millis(start.elapsed()),
        floor_ms,
        samples,
        known: known
            .map(|known| known.link.clone())
            .filter(|_| verdict != crate::verdict::outcome::Verdict::Pass),
    }
}

type Attempted = (Vec<Check>, Vec<String>, BTreeMap<String, u64>, u64);

async fn attempt(ctx: &std::sync::Arc<Context>, loaded: &Loaded, number: usize) -> Attempted {
    let place = match workloads(ctx, loaded) {
        Ok(workloads) => Place::make(
            ctx,
            &loaded.id,
            number,
            &workloads,
            steps::uses_gateway(ctx, loaded),
            loaded.scenario.needs.iter().any(|need| need == OUTSIDE),
        )
        .await
        .map_err(|unmade| {
            let Unmade { error, evidence } = *unmade;
            keep(ctx, loaded, evidence);
            Stop::from(error)
        }),
        Err(words) => Err(words.into()),
    };
    let began = tokio::time::Instant::now();
    let place = match place {
        Ok(place) => std::sync::Arc::new(place),
        Err(Stop::Unknown(words)) => return (Vec::new(), vec![words], BTreeMap::new(), 0),
        Err(Stop::Fault(check)) => {
            told(ctx, loaded, StepNumber::WORLD, &check);
            return (vec![*check], Vec::new(), BTreeMap::new(), 0);
        }
    };
    let mut run = Run {
        ctx,
        loaded,
        place,
        applied: BTreeMap::new(),
        checks: Vec::new(),
        samples: BTreeMap::new(),
        floor_ms: 0,
        evidence: Vec::new(),
        manifests: Mutex::default(),
        pictures: Vec::new(),
        #[cfg(feature = "browser")]
        browsing: None,
        background: Vec::new(),
        owners: BTreeMap::new(),
        runs: 0,
    };
    run.note_claims();
    let mut errors: Vec<String> = run.steps().await.err().into_iter().collect();
    errors.extend(run.end_background().await.err());
    #[cfg(feature = "browser")]
    if let Some(browsing) = run.browsing.take() {
        browsing.close().await;
    }
    errors.extend(mutated::untaken(ctx, loaded, &run.place.taken));
    if errors.is_empty() {
        errors.extend(super::control::check(ctx, &run.place, loaded).await.err());
    }
    if let Some(first) = errors.first_mut() {
        run.explain(first, began).await;
    }
    run.keep_evidence(!errors.is_empty()).await;
    run.clean_up(!errors.is_empty()).await;
    (run.checks, errors, run.samples, run.floor_ms)
}

/// The workloads with the documents of their files.
fn workloads(ctx: &Context, loaded: &Loaded) -> Result<Vec<(Workload, Vec<Value>)>, String> {
    let each = loaded.scenario.world.iter().map(|workload| {
        let (file, text) = files::workload(loaded, &workload.uses)?;
        let documents = objects::values(&ctx.text(&file, text));
        let documents = documents.map_err(|error| format!("{file}: {error}"))?;
        documents
            .iter()
            .for_each(|object| ctx.redactor.register_object(object));
        Ok((workload.clone(), documents))
    });
    each.collect()
}

impl Run<'_> {
    /// What the verdicts rest on: times that the scenario's configuration states, and pods whose readiness it claims itself.
    fn note_claims(&self) {
        let mut times = Times::default();
        for step in &self.loaded.scenario.steps {
            if let Step::Ready(ready) = step {
                self.place.guard.claim_readiness(&ready.workload);
            }
            let (Step::Apply(name) | Step::Churn(Churn { apply: name, .. })) = step else {
                continue;
            };
            // A file that cannot be read is told by its step.
            let objects = steps::manifest(self, name).unwrap_or_default();
            objects.iter().for_each(|object| times.configured(object));
        }
        // Nobody sets it before.
        let _ = self.place.times.set(times);
    }

    /// Why something that was to come within a time may not have come, where the mesh is not to blame.
    pub(super) async fn slowed(&self, began: Instant, within: Duration) -> Option<String> {
        let gateway = steps::uses_gateway(self.ctx, self.loaded);
        guard::judge::slowed(self.ctx, &self.place, gateway, began.into(), within).await
    }

    /// What was to blame for an error of a step, where that is known, stands before it.
    async fn explain(&self, error: &mut String, began: tokio::time::Instant) {
        let gateway = steps::uses_gateway(self.ctx, self.loaded);
        let mut known = guard::judge::gather(self.ctx, &self.place, gateway, began, true).await;
        known.stalls.extend(self.ctx.guards.api.since(began));
        if let Some(cause) = known.cause() {
            *error = format!("{cause}: {error}");
        }
    }

    async fn steps(&mut self) -> Result<(), String> {
        let scenario = &self.loaded.scenario;
        for (number, step) in scenario.numbered_steps() {
            let (start, id) = (Instant::now(), self.loaded.id.clone());
            let what = step_words(step);
            self.ctx.recorder.emit(Kind::StepStarted {
                id: id.clone(),
                attempt: self.loaded.attempt,
                step: number,
                what: what.clone(),
            });
            let done = self.step(number, step).await;
            let (done, over) = match done {
                Ok(()) => (Ok(()), false),
                Err(Stop::Unknown(words)) => (Err(words), true),
                Err(Stop::Fault(check)) => {
                    self.checked(number, *check);
                    (Ok(()), true)
                }
            };
            let error = done.as_ref().err().cloned();
            self.ctx.recorder.emit(Kind::StepEnded {
                id,
                attempt: self.loaded.attempt,
                step: number,
                ms: millis(start.elapsed()),
                error,
            });
            done.map_err(|words| format!("step {number} ({what}): {words}"))?;
            if over {
                break;
            }
        }
        Ok(())
    }

    async fn step(&mut self, number: StepNumber, step: &Step) -> Result<(), Stop> {
        let done = match step {
            Step::Apply(name) => return steps::apply(self, name).await,
            Step::Delete(name) => return steps::delete(self, name).await,
            Step::Scale(scale) => return steps::scale(self, scale).await,
            Step::Restart(workload) if workload == "istiod" => {
                self.ctx.guards.istiod.ask(workload);
                let mut proxies = self.place.proxies(self.ctx);
                proxies.extend(self.ctx.gateways.iter().cloned());
                istiod::restart(self.ctx, &proxies).await
            }
            Step::Restart(workload) => return steps::restart(self, workload).await,
            Step::Certificate(step) => certificates::certificate(self, step).await,
            Step::Refused(step) => {
                let check = refused::refused(self, step).await?;
                self.checked(number, check);
                Ok(())
            }
            Step::Tell(tell) => change::tell(self, tell).await,
            Step::Churn(churn) => return change::churn(self, churn).await,
            Step::Await(wait) => change::await_stat(self, wait).await,
            Step::Ready(ready) => {
                let check = change::ready(self, ready).await?;
                self.checked(number, check);
                Ok(())
            }
            Step::Finish(finish) => self.finish(finish).await,
            Step::Versus(wanted) => versus::versus(self, number, wanted).await,
            Step::Probe(_) => self.probe(number, step, &[]).await,
            Step::Contrast(Contrast { refutes, .. }) => self.probe(number, step, refutes).await,
            Step::Converge(converge) => self.converge(number, step, converge).await,
            Step::Background(name) => self.start_background(number, name, step).await,
        };
        Ok(done?)
    }

    pub(super) fn resolved(&self, step: &Step) -> Result<Vec<ResolvedProbe>, String> {
        self.resolved_with(step, self.ctx.rates)
    }

    /// The probes of look number `look` (from 1) at a claim that has to hold in the end: each look spends its part of the rate of
    /// misses, and makes the calls which that needs.
    fn look(&self, step: &Step, look: u32) -> Result<Vec<ResolvedProbe>, String> {
        let mut probes = self.resolved_with(step, self.ctx.rates.at_look(look))?;
        for probe in &mut probes {
            probe.times = probe.times.max(probe.needed.unwrap_or(0));
        }
        Ok(probes)
    }

    fn resolved_with(&self, step: &Step, rates: Rates) -> Result<Vec<ResolvedProbe>, String> {
        step_probes(&self.loaded.scenario, step, rates).map_err(|error| error.to_string())
    }

    /// A call-id prefix that no other run of a probe in this run of meshproof has.
    pub(super) fn tag(&mut self) -> String {
        self.runs += 1;
        format!("{}-{}", self.place.namespace, self.runs)
    }

    async fn probe(
        &mut self,
        number: StepNumber,
        step: &Step,
        refutes: &[String],
    ) -> Result<(), String> {
        for probe in self.resolved(step)? {
            let outcome = self.once(&probe, refutes, None).await?;
            self.floor_ms += outcome.took_ms;
            let given_up = outcome.given_up();
            self.take(number, &probe.name, outcome);
            // Whatever hangs hangs in the next cell as well, and the verdict is known.
            if let Some(words) = given_up {
                return Err(format!("{}: {words}", probe.name));
            }
        }
        Ok(())
    }

    /// One run of a probe, with what earlier probes and backgrounds contribute to it.
    pub(super) async fn once(
        &mut self,
        probe: &ResolvedProbe,
        refutes: &[String],
        again: Option<Instant>,
    ) -> Result<Outcome, String> {
        let tag = self.tag();
        let held: Vec<Holding> = self.background.iter().map(|b| b.holding.clone()).collect();
        let busy = if probe.expect.avoids_busy() {
            Some(busy::busiest(self.ctx, &self.place, &held).await?)
        } else {
            None
        };
        let since = probe.expect.moved().map(|moved| moved.since.as_str());
        let manner = Manner {
            refutes,
            busy: busy.as_ref().map(|busy| busy.pod.clone()),
            before: since.and_then(|since| self.owners.get(since).cloned()),
            again,
            ..Manner::default()
        };
        let outcome = match &probe.browser {
            Some(browser) => self.browse(probe, browser, &tag, manner).await?,
            None => probe::run(self.ctx, &self.place, probe, &tag, manner).await?,
        };
        if let Some(busy) = &busy {
            busy::still(self.ctx, &self.place, &held, busy).await?;
        }
        if !outcome.owners.is_empty() {
            self.owners
                .insert(probe.name.clone(), outcome.owners.clone());
        }
        Ok(outcome)
    }

    /// The scenario's browser, started by its first probe, makes the calls.
    #[cfg(feature = "browser")]
    async fn browse(
        &mut self,
        probe: &ResolvedProbe,
        browser: &Browser,
        tag: &str,
        manner: Manner<'_>,
    ) -> Result<Outcome, String> {
        use super::browse::Browsing;
        let browsing = match &mut self.browsing {
            Some(browsing) => browsing,
            none => none.insert(Browsing::start(self.ctx, &self.place, &probe.to).await?),
        };
        browsing
            .run(self.ctx, &self.place, probe, browser, tag, manner)
            .await
    }

    #[cfg(not(feature = "browser"))]
    async fn browse(
        &self,
        probe: &ResolvedProbe,
        _: &Browser,
        _: &str,
        _: Manner<'_>,
    ) -> Result<Outcome, String> {
        let words = "meshproof was built without the feature `browser`";
        Err(format!("{}: {words}", probe.name))
    }

    /// Keeps checks, numbers and evidence of a run.
    pub(super) fn take(&mut self, number: StepNumber, name: &str, outcome: Outcome) {
        for check in outcome.checks {
            self.checked(number, check);
        }
        *self.samples.entry("calls".into()).or_default() += outcome.calls;
        *self.samples.entry("attempts".into()).or_default() += outcome.attempts;
        self.evidence
            .push((format!("step-{number}-{name}.jsonl"), outcome.evidence));
        let pictures = outcome.pictures.into_iter();
        self.pictures.extend(
            pictures.map(|(ending, bytes)| (format!("step-{number}-{name}.{ending}"), bytes)),
        );
    }

    /// Keeps a check and tells of it.
    pub(super) fn checked(&mut self, step: StepNumber, check: Check) {
        told(self.ctx, self.loaded, step, &check);
        self.checks.push(check);
    }

    async fn converge(
        &mut self,
        number: StepNumber,
        step: &Step,
        converge: &Converge,
    ) -> Result<(), String> {
        let within =
            crate::verdict::range::duration(&converge.within).map_err(|error| error.to_string())?;
        let start = Instant::now();
        let deadline = start + within;
        let mut look = 0;
        loop {
            look += 1;
            let mut outcomes = Vec::new();
            for probe in self.look(step, look)? {
                let outcome = self.once(&probe, &[], Some(deadline)).await?;
                outcomes.push((probe.name, outcome));
            }
            let mut checks = outcomes.iter().flat_map(|(_, outcome)| &outcome.checks);
            let holds = checks.all(|check| check.result == CheckResult::Holds);
            if holds || Instant::now() > deadline {
                if !holds && let Some(cause) = self.slowed(start, within).await {
                    return Err(format!(
                        "{cause} while probe {} had {} to hold",
                        converge.probe, converge.within
                    ));
                }
                for (name, outcome) in outcomes {
                    self.floor_ms += outcome.took_ms;
                    self.take(number, &name, outcome);
                }
                return Ok(());
            }
            sleep(Duration::from_millis(50)).await;
        }
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
            all.extend(place::evidence(self.ctx, &self.place.namespace).await);
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

    fn manifests(&self) -> MutexGuard<'_, Manifests> {
        self.manifests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A step is about to write these objects of a file.
    pub(super) fn taken_up(&self, file: &str, objects: &[Value]) {
        self.manifests().taken_up(file, objects.to_vec());
    }

    /// What the API server said of them; its warnings are told.
    pub(super) fn answered(&self, written: &[Written]) {
        self.manifests().answered(written);
        for one in written {
            for warning in &one.warnings {
                self.ctx.recorder.emit(Kind::Note {
                    text: format!("{}: {} {}: {warning}", self.loaded.id, one.kind, one.name),
                });
            }
        }
    }

    async fn clean_up(&self, failed: bool) {
        let refuted = self
            .checks
            .iter()
            .any(|check| (check.result == CheckResult::Holds) == check.contrast);
        let written: Vec<Written> = self.applied.values().flatten().cloned().collect();
        let keep = self.ctx.keep_failed && (failed || refuted);
        self.place.end(self.ctx, &written, keep).await;
    }
}

/// Keeps texts as evidence of a scenario.
fn keep(ctx: &Context, loaded: &Loaded, all: Vec<(String, String)>) {
    let Some(bundle) = &ctx.bundle else {
        return;
    };
    for (name, text) in all {
        let written = bundle.evidence(&loaded.folder(), &name, &text);
        kept(ctx, loaded, caption(&name), written);
    }
}

/// Tells of a piece of evidence, or that it could not be kept.
fn kept(ctx: &Context, loaded: &Loaded, caption: String, written: Result<String, WriteError>) {
    let id = loaded.id.clone();
    ctx.recorder.emit(match written {
        Ok(file) => Kind::Evidence {
            id,
            attempt: loaded.attempt,
            file,
            caption,
        },
        Err(error) => Kind::Note {
            text: format!("{id}: {error}"),
        },
    });
}

fn told(ctx: &Context, loaded: &Loaded, step: StepNumber, check: &Check) {
    ctx.recorder.emit(Kind::Checked {
        id: loaded.id.clone(),
        attempt: loaded.attempt,
        step,
        check: Box::new(check.clone()),
    });
}

/// Milliseconds, saturating.
pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
