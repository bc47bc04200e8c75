//! How long things may take: every deadline of a run in one place, and the factor by which a slow cluster stretches them.

use std::{sync::OnceLock, time::Duration};

/// Factor of all deadlines; set once, before anything waits.
static SCALE: OnceLock<f64> = OnceLock::new();

/// Stretches every deadline of this process by a factor. Only the first call counts.
pub fn set_scale(factor: f64) {
    let _ = SCALE.set(factor);
}

/// The deadlines as they are for this run: those below, stretched by `--timeout-scale`.
#[must_use]
pub fn timeouts() -> Timeouts {
    let scale = SCALE.get().copied().unwrap_or(1.0);
    Timeouts::PLAIN.stretched(scale)
}

/// Deadlines. What Envoy, Istio or Kubernetes fix by themselves (a debounce, a flush interval, a lease) is no deadline and stands where
/// it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// istiod and the proxies, for one batch of configuration.
    pub push: Duration,
}

impl Timeouts {
    /// For a machine that is not slow.
    pub const PLAIN: Self = Self {
        push: Duration::from_secs(20),
    };

    fn stretched(self, factor: f64) -> Self {
        Self {
            push: self.push.mul_f64(factor),
        }
    }
}
