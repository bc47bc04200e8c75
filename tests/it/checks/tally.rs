//! Runs checks one after the other and reports each as it ends. A failed check does not stop the
//! others.

use std::time::Instant;

use tokio::sync::{Mutex, MutexGuard};

/// These tests compare the state of the whole machine, so only one runs at a time.
static MACHINE: Mutex<()> = Mutex::const_new(());

/// Results of the checks of a test.
pub struct Tally {
    _alone: MutexGuard<'static, ()>,
    passed: usize,
    failed: usize,
    began: Instant,
}

impl Tally {
    /// Waits for other tests. `title` is printed on its own line, which ends the line that
    /// libtest has begun.
    pub async fn of(title: &str) -> Self {
        let alone = MACHINE.lock().await;
        eprintln!("\n== {title}");
        Self {
            _alone: alone,
            passed: 0,
            failed: 0,
            began: Instant::now(),
        }
    }

    /// Restarts the clock for the next check.
    pub fn begin(&mut self) {
        self.began = Instant::now();
    }

    /// Reports a check that took from the previous one until now: its result, or why it failed.
    pub fn add(&mut self, what: &str, outcome: Result<String, String>) {
        let seconds = self.began.elapsed().as_secs_f64();
        match outcome {
            Ok(shown) => {
                self.passed += 1;
                let gap = if shown.is_empty() { "" } else { ": " };
                eprintln!("ok     {seconds:7.2} s  {what}{gap}{shown}");
            }
            Err(why) => {
                self.failed += 1;
                let why = why.trim_end().replace('\n', "\n        ");
                eprintln!("FAILED {seconds:7.2} s  {what}: {why}");
            }
        }
        self.begin();
    }

    /// # Panics
    /// When a check failed, or none was made.
    pub fn finish(self) {
        eprintln!("{} passed, {} failed", self.passed, self.failed);
        assert!(
            self.failed == 0 && self.passed > 0,
            "{} of {} checks failed; each begins with FAILED above",
            self.failed,
            self.passed + self.failed
        );
    }
}

/// The last lines of a text.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.trim_end().lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
