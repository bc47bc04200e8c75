//! The verbs that make calls: `probe`, `contrast` and `converge`.

use std::time::Instant;

use tokio::sync::Mutex;

use super::error::StepError;
use crate::{
    run::{probe::Outcome, state::Run},
    scenario::{
        StepNumber,
        model::{Converge, Step},
        range,
    },
    verdict::outcome::CheckResult,
    wait::{self, Look},
};

impl Run<'_> {
    /// Makes the calls of a probe and records the results. `must_fail` contains the matchers that
    /// must fail in a contrast.
    ///
    /// # Errors
    /// [`StepError`]: its calls could not be made or judged.
    pub async fn probe(
        &mut self,
        number: StepNumber,
        step: &Step,
        must_fail: &[String],
    ) -> Result<(), StepError> {
        for probe in self.resolved(step)? {
            let outcome = self.once(&probe, must_fail, None).await?;
            self.min_ms += outcome.took_ms;
            let given_up = outcome.given_up();
            self.take(number, &probe.name, outcome);
            // Calls that hang will hang in the next case as well, and the verdict is known.
            if let Some(message) = given_up {
                let probe = probe.name;
                return Err(StepError::GivenUp { probe, message });
            }
        }
        Ok(())
    }

    /// Repeats the calls of a probe until all its claims hold or the time is over.
    ///
    /// # Errors
    /// As [`Self::probe`], and if something stalled meanwhile.
    pub async fn converge(
        &mut self,
        number: StepNumber,
        step: &Step,
        converge: &Converge,
    ) -> Result<(), StepError> {
        let within = range::duration(&converge.within)?;
        let start = Instant::now();
        let (deadline, run) = (start + within, Mutex::new((&mut *self, 0)));
        let waited = wait::or_last_seen(within, async |_| {
            let (run, look) = &mut *run.lock().await;
            *look += 1;
            run.look_at(step, *look, deadline).await
        });
        let outcomes = waited.await?;
        if !all_hold(&outcomes)
            && let Some(cause) = self.slowed(start, within).await
        {
            return Err(StepError::Slowed {
                cause,
                probe: converge.probe.clone(),
                within: converge.within.clone(),
            });
        }
        for (name, outcome) in outcomes {
            self.min_ms += outcome.took_ms;
            self.take(number, &name, outcome);
        }
        Ok(())
    }

    /// Makes the calls of poll number `look`, and returns whether all claims hold.
    async fn look_at(
        &mut self,
        step: &Step,
        look: u32,
        deadline: Instant,
    ) -> Result<Look<Outcomes, Outcomes>, StepError> {
        let mut outcomes = Outcomes::new();
        for probe in self.look(step, look)? {
            let outcome = self.once(&probe, &[], Some(deadline)).await?;
            outcomes.push((probe.name, outcome));
        }
        Ok(match all_hold(&outcomes) {
            true => Look::Met(outcomes),
            false => Look::Unmet(outcomes),
        })
    }
}

/// Runs of probes, by their names.
type Outcomes = Vec<(String, Outcome)>;

fn all_hold(outcomes: &Outcomes) -> bool {
    let mut checks = outcomes.iter().flat_map(|(_, outcome)| &outcome.checks);
    checks.all(|check| check.result == CheckResult::Holds)
}
