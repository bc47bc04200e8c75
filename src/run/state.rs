//! The state of a running scenario that its steps use and extend.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};

use super::{
    context::RunContext,
    guard,
    kept::reported,
    namespace::{manifests::Manifests, scenario_namespace::ScenarioNamespace},
    probe::{
        self, Outcome, ProbeOptions,
        error::ProbeError,
        in_flight::{self, BackgroundHold, InFlightError},
    },
};
use crate::{
    cluster::object::Written,
    errors::Trouble,
    event::EventKind,
    plan::{
        resolve::{ResolveError, ResolvedProbe},
        step_probes,
    },
    scenario::{
        StepNumber,
        loaded::LoadedScenario,
        model::{Step, web::Browser},
    },
    verdict::{
        Rates, key_assignments::KeyAssignments, matcher::remapped::Remapped, outcome::Check,
    },
};

/// A running scenario.
pub struct Run<'a> {
    pub ctx: &'a Arc<RunContext>,
    pub loaded: &'a LoadedScenario,
    pub ns: Arc<ScenarioNamespace>,
    /// Written objects by the name in their `apply` step.
    pub applied: BTreeMap<String, Vec<Written>>,
    pub(super) checks: Vec<Check>,
    pub(super) samples: BTreeMap<String, u64>,
    pub min_ms: u64,
    pub(super) evidence: Vec<(String, String)>,
    pub(super) manifests: Mutex<Manifests>,
    pub(super) pictures: Vec<(String, Vec<u8>)>,
    #[cfg(feature = "browser")]
    pub(super) browsing: Option<probe::browse::Browsing>,
    pub background: Vec<Background>,
    /// Which pod answered which key, in the last run of each probe.
    pub(super) owners: BTreeMap<String, KeyAssignments>,
    pub(super) runs: usize,
}

/// A background probe that runs until the end of the scenario.
pub struct Background {
    pub step: StepNumber,
    /// The name of the probe.
    pub name: String,
    pub runs: Vec<(String, String)>,
    pub holding: BackgroundHold,
    pub stop: watch::Sender<bool>,
    /// The matchers that must fail if it ends as a contrast.
    pub finish: watch::Sender<Vec<String>>,
    pub running: JoinHandle<Result<Vec<Outcome>, ProbeError>>,
    /// Ends with `running`.
    pub ended: oneshot::Receiver<()>,
    /// Its streams were not all in progress in time. This is an error unless a check of theirs
    /// failed: the mesh may have rejected some.
    pub late: Option<InFlightError>,
}

impl<'a> Run<'a> {
    /// Creates the state before the first step, from the scenario's namespace.
    pub fn new(
        ctx: &'a Arc<RunContext>,
        loaded: &'a LoadedScenario,
        ns: ScenarioNamespace,
    ) -> Self {
        Self {
            ctx,
            loaded,
            ns: Arc::new(ns),
            applied: BTreeMap::new(),
            checks: Vec::new(),
            samples: BTreeMap::new(),
            min_ms: 0,
            evidence: Vec::new(),
            manifests: Mutex::default(),
            pictures: Vec::new(),
            #[cfg(feature = "browser")]
            browsing: None,
            background: Vec::new(),
            owners: BTreeMap::new(),
            runs: 0,
        }
    }
}

impl Run<'_> {
    /// Returns a cause other than the mesh for which something may not have happened in time.
    pub async fn slowed(&self, began: Instant, within: Duration) -> Option<Trouble> {
        let gateway = probe::uses_gateway(self.ctx, self.loaded);
        guard::judge::slowed(self.ctx, &self.ns, gateway, began.into(), within).await
    }

    pub fn resolved(&self, step: &Step) -> Result<Vec<ResolvedProbe>, ResolveError> {
        self.resolved_with(step, self.ctx.session.rates)
    }

    /// Returns the probes of poll number `look` (from 1) of a claim that has to hold eventually.
    /// Each poll uses a part of the rate of misses, and makes the number of calls that this
    /// needs.
    pub fn look(&self, step: &Step, look: u32) -> Result<Vec<ResolvedProbe>, ResolveError> {
        let mut probes = self.resolved_with(step, self.ctx.session.rates.at_look(look))?;
        for probe in &mut probes {
            probe.load.times = probe.load.times.max(probe.load.needed.unwrap_or(0));
        }
        Ok(probes)
    }

    fn resolved_with(&self, step: &Step, rates: Rates) -> Result<Vec<ResolvedProbe>, ResolveError> {
        step_probes(&self.loaded.scenario, step, rates)
    }

    /// Returns a call-id prefix that no other run of a probe in this run of meshproof has.
    pub fn tag(&mut self) -> String {
        self.runs += 1;
        format!("{}-{}", self.ns.lease, self.runs)
    }

    /// Runs a probe once, with what earlier probes and backgrounds contribute to it.
    pub async fn once(
        &mut self,
        probe: &ResolvedProbe,
        must_fail: &[String],
        again: Option<Instant>,
    ) -> Result<Outcome, ProbeError> {
        let tag = self.tag();
        let held: Vec<BackgroundHold> = self.background.iter().map(|b| b.holding.clone()).collect();
        let busiest = if probe.expect.least_request() {
            let busiest = in_flight::busiest(self.ctx, &self.ns, &held).await;
            Some(busiest.map_err(ProbeError::LeastRequest)?)
        } else {
            None
        };
        let since = probe
            .expect
            .get::<Remapped>()
            .map(|moved| moved.since.as_str());
        let options = ProbeOptions {
            must_fail,
            busy: busiest.as_ref().map(|busiest| busiest.pod.clone()),
            before: since.and_then(|since| self.owners.get(since).cloned()),
            again,
            ..ProbeOptions::default()
        };
        let outcome = match &probe.request.browser {
            Some(browser) => self.browse(probe, browser, &tag, options).await?,
            None => probe::run(self.ctx, &self.ns, probe, &tag, options).await?,
        };
        if let Some(busiest) = &busiest {
            in_flight::still(self.ctx, &self.ns, &held, busiest).await?;
        }
        if !outcome.owners.is_empty() {
            self.owners
                .insert(probe.name.clone(), outcome.owners.clone());
        }
        Ok(outcome)
    }

    /// Makes the calls in the scenario's browser, which its first browser probe starts.
    #[cfg(feature = "browser")]
    async fn browse(
        &mut self,
        probe: &ResolvedProbe,
        browser: &Browser,
        tag: &str,
        options: ProbeOptions<'_>,
    ) -> Result<Outcome, ProbeError> {
        use probe::browse::Browsing;
        let browsing = match &mut self.browsing {
            Some(browsing) => browsing,
            none => none.insert(Browsing::start(self.ctx, &self.ns, &probe.request.to).await?),
        };
        browsing
            .run(self.ctx, &self.ns, probe, browser, tag, options)
            .await
    }

    #[cfg(not(feature = "browser"))]
    async fn browse(
        &self,
        probe: &ResolvedProbe,
        _: &Browser,
        _: &str,
        _: ProbeOptions<'_>,
    ) -> Result<Outcome, ProbeError> {
        Err(ProbeError::NoBrowser(probe.name.clone()))
    }

    /// Records the checks, counts and evidence of a run.
    pub fn take(&mut self, number: StepNumber, name: &str, outcome: Outcome) {
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

    /// Records a check and emits its event.
    pub fn checked(&mut self, step: StepNumber, check: Check) {
        reported(self.ctx, self.loaded, step, &check);
        self.checks.push(check);
    }

    pub(super) fn manifests(&self) -> MutexGuard<'_, Manifests> {
        self.manifests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the objects of a file that a step is about to write.
    pub fn taken_up(&self, file: &str, objects: &[Value]) {
        self.manifests().taken_up(file, objects.to_vec());
    }

    /// Records the API server's answers to them, and emits a note for each warning.
    pub fn answered(&self, written: &[Written]) {
        self.manifests().answered(written);
        for one in written {
            for warning in &one.warnings {
                self.ctx.recorder.emit(EventKind::Note {
                    text: format!("{}: {} {}: {warning}", self.loaded.id, one.kind, one.name),
                });
            }
        }
    }
}
