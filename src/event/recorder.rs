//! The one way out of the engine: events get their time here and go to the sink, in one order.

use std::time::Instant;

use tokio::sync::mpsc;

use super::{Event, EventKind};

/// Hands events on; cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    start: Instant,
    to: mpsc::UnboundedSender<Event>,
}

impl Recorder {
    /// A recorder whose clock starts now, and the stream of its events.
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

    /// Records that something happened now. After the sink has gone there is nobody to tell.
    pub fn emit(&self, kind: EventKind) {
        let _ = self.to.send(Event {
            at_ms: self.elapsed_ms(),
            kind,
        });
    }
}
