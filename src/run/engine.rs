//! Runs all scenarios of a plan in parallel, until they are done or the run is cancelled.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use futures::{StreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use super::{context::RunContext, scenario};
use crate::{
    errors::ErrorClass,
    event::{EventKind, ScenarioEnd},
    plan::{PlanAction, PlanEntry},
    scenario::{known::Known, loaded::LoadedScenario, select::is_slow},
    verdict::outcome::Verdict,
};

/// Parallelism and fail-fast of a run.
#[derive(Debug, Clone, Copy)]
pub struct EngineOptions {
    /// How many scenarios run at the same time. Beside them, half as many run that wait for timers
    /// of the mesh, unless this is 1: what waits needs no processor.
    pub jobs: usize,
    pub fail_fast: bool,
}

/// Runs every entry of a plan. A cancelled run starts nothing new and abandons scenarios in
/// progress. These get no verdict here (the report says so).
pub async fn run(
    ctx: &Arc<RunContext>,
    entries: &[PlanEntry],
    known: &BTreeMap<String, Known>,
    options: EngineOptions,
    cancel: &CancellationToken,
) {
    for entry in entries {
        ctx.recorder.emit(planned(&entry.loaded));
    }
    let first = ctx.planned.fetch_add(entries.len(), Ordering::Relaxed) + 1;
    let stop = cancel.child_token();
    let (together, serial): (Vec<_>, Vec<_>) = (first..)
        .zip(entries)
        .partition(|(_, entry)| entry.serial.is_none());
    let (slow, quick): (Vec<_>, Vec<_>) = together
        .into_iter()
        .partition(|(_, entry)| options.jobs > 1 && is_slow(&entry.loaded));
    let several = async |scenarios: Vec<(usize, &PlanEntry)>, jobs: usize| {
        let each = scenarios
            .into_iter()
            .map(|(number, entry)| one(ctx, number, entry, known, options, cancel, &stop));
        stream::iter(each)
            .buffer_unordered(jobs)
            .collect::<Vec<()>>()
            .await;
    };
    tokio::join!(
        several(slow, options.jobs.div_ceil(2)),
        several(quick, options.jobs.max(1))
    );
    // Scenarios that affect the control plane or other scenarios run last, one at a time, with
    // nothing in parallel.
    several(serial, 1).await;
}

async fn one(
    ctx: &Arc<RunContext>,
    number: usize,
    entry: &PlanEntry,
    known: &BTreeMap<String, Known>,
    options: EngineOptions,
    cancel: &CancellationToken,
    stop: &CancellationToken,
) {
    let lost = &ctx.lost;
    let end = match (&entry.action, lost.why()) {
        (PlanAction::Skip(reason), _) => skipped(&entry.loaded, reason.clone()),
        (PlanAction::Run, Some(why)) => unjudged(&entry.loaded, format!("not started: {why}")),
        (PlanAction::Run, None) if stop.is_cancelled() => return,
        (PlanAction::Run, None) => {
            let run = scenario::run(ctx, entry, number, known.get(&entry.loaded.id));
            let judged = async {
                tokio::select! {
                    end = run => unless_lost(ctx, end).await,
                    why = lost.wait() => unjudged(&entry.loaded, why.to_owned()),
                }
            };
            match cancel.run_until_cancelled(judged).await {
                Some(end) => end,
                None => return,
            }
        }
    };
    if options.fail_fast && is_bad(end.verdict) {
        stop.cancel();
    }
    ctx.recorder.emit(EventKind::ScenarioEnded(Box::new(end)));
}

/// Turns a bad verdict into ERROR if the target was ending.
async fn unless_lost(ctx: &RunContext, end: ScenarioEnd) -> ScenarioEnd {
    if !is_bad(end.verdict) {
        return end;
    }
    match ctx.lost.suspected(&ctx.client).await {
        Some(why) => ScenarioEnd {
            verdict: Verdict::Error,
            class: Some(LOST),
            cause: format!("{why}\nbefore that: {}", end.cause),
            ..end
        },
        None => end,
    }
}

fn is_bad(verdict: Verdict) -> bool {
    matches!(
        verdict,
        Verdict::Fail | Verdict::Error | Verdict::UnexpectedPass
    )
}

fn planned(loaded: &LoadedScenario) -> EventKind {
    EventKind::ScenarioPlanned {
        id: loaded.id.clone(),
        attempt: loaded.attempt,
        title: loaded.scenario.title.clone(),
        area: loaded.area.clone(),
        proves: loaded.scenario.proves.clone(),
        level: loaded.scenario.level,
        file: loaded.file.clone(),
        again: loaded.again(),
    }
}

/// A target that ends takes the mesh's cluster with it.
const LOST: ErrorClass = ErrorClass::Mesh;

/// The result of a scenario whose target has ended.
fn unjudged(loaded: &LoadedScenario, cause: String) -> ScenarioEnd {
    ScenarioEnd {
        verdict: Verdict::Error,
        class: Some(LOST),
        ..skipped(loaded, cause)
    }
}

/// The result of a scenario that was not started.
fn skipped(loaded: &LoadedScenario, cause: String) -> ScenarioEnd {
    ScenarioEnd {
        id: loaded.id.clone(),
        attempt: loaded.attempt,
        verdict: Verdict::Skip,
        cause,
        class: None,
        wall_ms: 0,
        min_ms: 0,
        samples: BTreeMap::new(),
        known: None,
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
