//! Phases of a bring-up: progress for people, times for the report.

use std::{error::Error, future::Future, time::Instant};

use super::{EventKind, recorder::Recorder};
use crate::errors::chain;

/// Times phases and tells of them.
#[derive(Clone)]
pub struct Phases(Recorder);

impl Phases {
    pub fn new(recorder: Recorder) -> Self {
        Self(recorder)
    }

    /// Runs a phase; its error is recorded and handed on.
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
