//! One line at the bottom of a terminal: the number of judged scenarios, and what is running.

use std::collections::BTreeSet;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{
    event::{Event, EventKind},
    output::clean_line,
    scenario::loaded::run_name,
};

/// Redraws per second: enough to show that the run is alive.
const REDRAWS: u8 = 4;

#[derive(Debug)]
pub struct RunProgress {
    bar: ProgressBar,
    planned: u64,
    ended: u64,
    phase: Option<String>,
    running: BTreeSet<String>,
}

impl RunProgress {
    /// Draws on stderr, which must be a terminal.
    pub fn stderr() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(REDRAWS));
        let style = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}")
            .expect("a valid template");
        bar.set_style(style);
        bar.enable_steady_tick(Duration::from_millis(1000 / u64::from(REDRAWS)));
        Self {
            bar,
            planned: 0,
            ended: 0,
            phase: None,
            running: BTreeSet::new(),
        }
    }

    pub fn apply(&mut self, event: &Event) {
        match &event.kind {
            EventKind::PhaseStarted { phase } => self.phase = Some(phase.clone()),
            EventKind::PhaseEnded { .. } => self.phase = None,
            EventKind::ScenarioPlanned { .. } => self.planned += 1,
            EventKind::ScenarioStarted { id, attempt } => {
                self.running.insert(run_name(id, *attempt));
            }
            EventKind::ScenarioEnded(end) => {
                self.running.remove(&run_name(&end.id, end.attempt));
                self.ended += 1;
            }
            _ => return,
        }
        self.bar.set_message(self.message());
    }

    fn message(&self) -> String {
        let doing = match &self.phase {
            Some(phase) => phase.clone(),
            None => self
                .running
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(", "),
        };
        clean_line(&format!("{}/{} {doing}", self.ended, self.planned))
    }

    /// Lets `print` write to the terminal without interference.
    pub fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// Removes the line.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
