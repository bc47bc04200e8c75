//! Phases of starting a target or a mesh, shown as progress and timed in the report.

use std::{error::Error, future::Future, time::Instant};

use super::{EventKind, recorder::Recorder};
use crate::errors::chain;

/// Times phases and emits their events.
#[derive(Clone)]
pub struct Phases(Recorder);

impl Phases {
    pub fn new(recorder: Recorder) -> Self {
        Self(recorder)
    }

    /// Runs a phase. Its error is recorded and returned.
    ///
    /// # Errors
    /// Those of the phase.
    pub async fn time<T, E: Error>(
        &self,
        phase: &str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let start = Instant::now();
        self.0.emit(EventKind::PhaseStarted {
            phase: phase.to_owned(),
        });
        let result = work.await;
        self.0.emit(EventKind::PhaseEnded {
            phase: phase.to_owned(),
            ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
            error: result.as_ref().err().map(|error| chain(error)),
        });
        result
    }
}
