//! The only output of the engine. Events get their timestamp here and go to the sink in order.

use std::time::Instant;

use tokio::sync::mpsc;

use super::{Event, EventKind};

/// Sends events to the sink. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    start: Instant,
    to: mpsc::UnboundedSender<Event>,
}

impl Recorder {
    /// Returns a recorder whose clock starts now, and the stream of its events.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (to, events) = mpsc::unbounded_channel();
        (
            Self {
                start: Instant::now(),
                to,
            },
            events,
        )
    }

    /// Milliseconds since the run began.
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Emits an event with the current time. Events after the sink was dropped are discarded.
    pub fn emit(&self, kind: EventKind) {
        let _ = self.to.send(Event {
            at_ms: self.elapsed_ms(),
            kind,
        });
    }
}
