//! The verbs that call: `probe`, `contrast` and `converge`.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::{
    run::state::Run,
    scenario::{
        StepNumber,
        model::{Converge, Step},
        range,
    },
    verdict::outcome::CheckResult,
};

impl Run<'_> {
    /// Makes the calls of a probe and keeps what they show; `refutes` are the claims that a contrast has to break.
    ///
    /// # Errors
    /// In words: its calls could not be made or understood.
    pub async fn probe(
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

    /// Makes the calls of a probe again and again until all its claims hold, or the time for it is over.
    ///
    /// # Errors
    /// As [`Self::probe`]; something stood still meanwhile.
    pub async fn converge(
        &mut self,
        number: StepNumber,
        step: &Step,
        converge: &Converge,
    ) -> Result<(), String> {
        let within = range::duration(&converge.within).map_err(|error| error.to_string())?;
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
}
