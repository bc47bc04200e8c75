//! Probes that run in the background of a scenario's steps.

use tokio::sync::{oneshot, watch};

use super::{change, error::StepError};
use crate::{
    plan::resolve::ResolvedProbe,
    run::{
        context::RunContext,
        namespace::scenario_namespace::ScenarioNamespace,
        probe::{
            self, Outcome, ProbeOptions,
            error::ProbeError,
            in_flight::{self, BackgroundHold, InFlightError},
        },
        state::{Background, Run},
    },
    scenario::{
        StepNumber,
        model::{Step, StopBackground},
    },
    verdict::outcome::CheckResult,
};

/// Whether all checks of a background probe hold.
fn all_hold(outcomes: &[Outcome]) -> bool {
    let mut checks = outcomes.iter().flat_map(|outcome| &outcome.checks);
    checks.all(|check| check.result == CheckResult::Holds)
}

impl Background {
    /// Waits until the streams that it holds are in progress at servers, so that the next steps
    /// affect them. Also returns if the probe ends first, because streams that cannot arrive are
    /// judged like others.
    async fn arrived(
        &mut self,
        ctx: &RunContext,
        ns: &ScenarioNamespace,
    ) -> Result<(), InFlightError> {
        let held = [self.holding.clone()];
        tokio::select! {
            arrived = in_flight::arrived(ctx, ns, &held) => arrived.map(drop),
            _ = &mut self.ended => Ok(()),
        }
    }
}

impl Run<'_> {
    /// Starts a background probe, and waits until the streams that it holds, if any, have
    /// arrived.
    pub(crate) async fn start_background(
        &mut self,
        number: StepNumber,
        name: &str,
        step: &Step,
    ) -> Result<(), StepError> {
        let probes = self.resolved(step)?;
        let (stop, stopped) = watch::channel(false);
        let (ctx, ns) = (
            std::sync::Arc::clone(self.ctx),
            std::sync::Arc::clone(&self.ns),
        );
        let tag = self.tag();
        let holding = BackgroundHold {
            prefix: format!("{tag}b"),
            calls: probes.first().map_or(0, held_calls),
        };
        let runs = probes.iter().enumerate();
        let runs = runs.map(|(at, probe)| (probe.request.from.clone(), format!("{tag}b{at}")));
        let runs: Vec<(String, String)> = runs.collect();
        let streams = probes.iter().any(|probe| probe.request.stream.is_some());
        let (finish, must_fail) = watch::channel(Vec::new());
        let (at_work, ended) = oneshot::channel::<()>();
        let running = tokio::spawn(async move {
            let _at_work = at_work;
            let mut outcomes = Vec::new();
            for (at, probe) in probes.iter().enumerate() {
                let options = ProbeOptions {
                    stop: Some(stopped.clone()),
                    late_must_fail: Some(must_fail.clone()),
                    ..ProbeOptions::default()
                };
                outcomes.push(probe::run(&ctx, &ns, probe, &format!("{tag}b{at}"), options).await?);
            }
            Ok(outcomes)
        });
        let mut background = Background {
            step: number,
            name: name.to_owned(),
            runs,
            holding,
            stop,
            finish,
            running,
            ended,
            late: None,
        };
        if streams {
            background.late = background.arrived(self.ctx, &self.ns).await.err();
        }
        self.background.push(background);
        Ok(())
    }

    /// Ends the streams of a background probe, and judges all its calls.
    pub(crate) async fn stop_background(&mut self, step: &StopBackground) -> Result<(), StepError> {
        let at = self.background.iter().position(|b| b.name == step.probe);
        let at = at.ok_or_else(|| StepError::NotInBackground(step.probe.clone()))?;
        let background = self.background.remove(at);
        let _ = background.finish.send(step.must_fail.clone());
        for (from, id) in &background.runs {
            change::finish(self, from, id).await?;
        }
        let outcomes = background.running.await;
        let outcomes = outcomes.map_err(StepError::Background)??;
        let late = background.late.filter(|_| all_hold(&outcomes));
        for outcome in outcomes {
            let name = format!("finished-{}", step.probe);
            self.take(background.step, &name, outcome);
        }
        late.map_or(Ok(()), |late| Err(ProbeError::Busy(late).into()))
    }

    pub(crate) async fn end_background(&mut self) -> Result<(), StepError> {
        let mut late = None;
        for background in std::mem::take(&mut self.background) {
            let _ = background.stop.send(true);
            let outcomes = background.running.await.map_err(StepError::Background)??;
            late = late.or(background.late.filter(|_| all_hold(&outcomes)));
            // Not part of the minimum time: it ran in parallel to the other steps, for as long as
            // they took.
            for (at, outcome) in outcomes.into_iter().enumerate() {
                self.take(background.step, &format!("background-{at}"), outcome);
            }
        }
        late.map_or(Ok(()), |late| Err(ProbeError::Busy(late).into()))
    }
}

/// Returns the number of calls that a closed loop keeps in flight. An open loop holds none.
fn held_calls(probe: &ResolvedProbe) -> u64 {
    let room = u64::from(probe.load.connections) * u64::from(probe.load.streams);
    match probe.load.rate {
        Some(_) => 0,
        None => room.min(probe.load.times),
    }
}
