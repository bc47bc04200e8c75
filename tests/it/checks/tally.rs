//! Checks one after the other, each told as it ends: one that fails keeps no other from being made.

use std::time::Instant;

use tokio::sync::{Mutex, MutexGuard};

/// These tests look at the whole machine, so that there is one at a time.
static MACHINE: Mutex<()> = Mutex::const_new(());

/// How the checks of a test went.
pub struct Tally {
    _alone: MutexGuard<'static, ()>,
    passed: usize,
    failed: usize,
    began: Instant,
}

impl Tally {
    /// Waits for other tests. `title` stands alone on its line: what libtest has begun to print
    /// ends there.
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

    /// What comes next is measured from here on.
    pub fn begin(&mut self) {
        self.began = Instant::now();
    }

    /// Tells of a check that took from the one before until now: what it showed, or why it failed.
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
