//! Schedules probes and evaluates their results, with one task per probe of a running container.
//!
//! The rules are the kubelet's, with one deviation that makes pods ready sooner: until its first
//! success, a startup or readiness probe that failed is repeated after 20 ms, 40 ms, … up to its
//! period. Repetitions within one period count as one failure, so a startup probe's budget
//! (failureThreshold × periodSeconds) is the one in the manifest.

use std::time::Duration;

use k8s_openapi::api::core::v1::Probe;
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    probe_action::{ProbeAction, ProbeTarget},
    probe_failure::ProbeFailure,
};
use crate::errors::chain;

/// First delay of the fast repetitions.
const RAMP_START: Duration = Duration::from_millis(20);

/// Kind of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProbeKind {
    Startup,
    Readiness,
    Liveness,
}

impl ProbeKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Readiness => "Readiness",
            Self::Liveness => "Liveness",
        }
    }
}

/// A probe's parameters with the defaults of the Kubernetes API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timing {
    pub initial_delay: Duration,
    pub period: Duration,
    pub timeout: Duration,
    pub failures: u32,
    pub successes: u32,
}

impl From<&Probe> for Timing {
    fn from(probe: &Probe) -> Self {
        let seconds = |value: Option<i32>, default: u64| {
            let given = value
                .and_then(|value| u64::try_from(value).ok())
                .filter(|value| *value > 0);
            Duration::from_secs(given.unwrap_or(default))
        };
        let count = |value: Option<i32>, default: u32| {
            value
                .and_then(|value| u32::try_from(value).ok())
                .filter(|value| *value > 0)
                .unwrap_or(default)
        };
        Self {
            initial_delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10),
            timeout: seconds(probe.timeout_seconds, 1),
            failures: count(probe.failure_threshold, 3),
            successes: count(probe.success_threshold, 1),
        }
    }
}

/// A probe's verdict after thresholds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ProbeVerdict {
    Good,
    Bad(String),
}

/// Counts results. The kubelet's rule: a result takes effect when it was seen as many times in a
/// row as its threshold.
#[derive(Debug)]
struct Counter {
    kind: ProbeKind,
    timing: Timing,
    succeeded_once: bool,
    last_good: Option<bool>,
    run: u32,
    /// When the last failure was counted.
    counted: Option<Instant>,
    ramp: Duration,
}

impl Counter {
    fn new(kind: ProbeKind, timing: Timing) -> Self {
        Self {
            kind,
            timing,
            succeeded_once: false,
            last_good: None,
            run: 0,
            counted: None,
            ramp: RAMP_START,
        }
    }

    /// Records a result; returns the verdict, if there is one, and the time until the next probe.
    fn take(
        &mut self,
        result: Result<(), ProbeFailure>,
        now: Instant,
    ) -> (Option<ProbeVerdict>, Duration) {
        let good = result.is_ok();
        let fast = self.kind != ProbeKind::Liveness && !self.succeeded_once && !good;
        let next = if fast { self.ramp } else { self.timing.period };
        if fast {
            self.ramp = (self.ramp * 2).min(self.timing.period);
            if self.counted.is_some_and(|at| now < at + self.timing.period)
                && self.last_good == Some(false)
            {
                return (None, next);
            }
            self.counted = Some(now);
        }
        self.run = if self.last_good == Some(good) {
            self.run + 1
        } else {
            1
        };
        self.last_good = Some(good);
        let verdict = match result {
            Ok(()) if self.run >= self.timing.successes => {
                self.succeeded_once = true;
                Some(ProbeVerdict::Good)
            }
            Err(error) if self.run >= self.timing.failures => {
                Some(ProbeVerdict::Bad(chain(&error)))
            }
            _ => None,
        };
        (verdict, next)
    }
}

/// Probes until the task is aborted, or a startup probe has its verdict. `tell` receives every
/// verdict, `failed` every failure that is not a fast repetition.
pub(super) async fn probe(
    kind: ProbeKind,
    timing: Timing,
    check: ProbeAction,
    target: ProbeTarget,
    mut tell: impl FnMut(ProbeVerdict) + Send,
    mut failed: impl FnMut(&str) + Send,
) {
    let mut counter = Counter::new(kind, timing);
    let mut next = Instant::now() + timing.initial_delay;
    loop {
        sleep_until(next).await;
        let begun = Instant::now();
        let result = match timeout(timing.timeout, check.ask(&target)).await {
            Ok(result) => result,
            Err(_) => Err(ProbeFailure::Late {
                seconds: timing.timeout.as_secs(),
            }),
        };
        if let Err(error) = &result
            && (counter.succeeded_once || counter.ramp >= timing.period)
        {
            failed(&chain(error));
        }
        let (verdict, wait) = counter.take(result, begun);
        if let Some(verdict) = verdict {
            tell(verdict);
            if kind == ProbeKind::Startup {
                return;
            }
        }
        next = begun + wait;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn timing(failures: u32, successes: u32) -> Timing {
        Timing {
            initial_delay: Duration::ZERO,
            period: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            failures,
            successes,
        }
    }

    fn bad() -> ProbeFailure {
        ProbeFailure::Late { seconds: 1 }
    }

    /// Results one period apart: + good, - bad. Verdicts: G, B, or a dot for none.
    fn verdicts(kind: ProbeKind, timing: Timing, results: &str) -> String {
        let mut counter = Counter::new(kind, timing);
        let start = Instant::now();
        let step = |(index, letter): (usize, char)| {
            let result = if letter == '+' { Ok(()) } else { Err(bad()) };
            match counter
                .take(result, start + Duration::from_secs(index as u64))
                .0
            {
                Some(ProbeVerdict::Good) => 'G',
                Some(ProbeVerdict::Bad(_)) => 'B',
                None => '.',
            }
        };
        results.chars().enumerate().map(step).collect()
    }

    #[rstest]
    #[case::ready_at_once(3, 1, "+", "G")]
    #[case::three_failures(3, 1, "+---+", "G..BG")]
    #[case::a_success_starts_the_count_anew(3, 1, "+--+--", "G..G..")]
    #[case::two_successes(1, 2, "++-+", ".GB.")]
    fn thresholds_count_in_a_row(
        #[case] failures: u32,
        #[case] successes: u32,
        #[case] results: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(
            verdicts(ProbeKind::Readiness, timing(failures, successes), results),
            expected
        );
        assert_eq!(
            verdicts(ProbeKind::Liveness, timing(failures, successes), results),
            expected
        );
    }

    #[test]
    fn fast_repetitions_count_as_one_failure_per_period() {
        let mut counter = Counter::new(ProbeKind::Startup, timing(2, 1));
        let start = Instant::now();
        let mut at = |ms: u64| counter.take(Err(bad()), start + Duration::from_millis(ms));
        let delays: Vec<u128> = [0, 20, 60, 140, 300, 620]
            .iter()
            .map(|ms| {
                let (verdict, wait) = at(*ms);
                assert_eq!(verdict, None, "at {ms} ms");
                wait.as_millis()
            })
            .collect();
        assert_eq!(delays, [20, 40, 80, 160, 320, 640]);
        assert_eq!(
            at(1260),
            (
                Some(ProbeVerdict::Bad("no answer within 1 s".to_owned())),
                Duration::from_secs(1)
            )
        );
    }

    #[test]
    fn after_the_first_success_the_period_holds() {
        let mut counter = Counter::new(ProbeKind::Readiness, timing(1, 1));
        let now = Instant::now();
        assert_eq!(counter.take(Ok(()), now).1, Duration::from_secs(1));
        assert_eq!(counter.take(Err(bad()), now).1, Duration::from_secs(1));
    }

    #[test]
    fn the_defaults_are_those_of_the_api() {
        let got = Timing::from(&Probe::default());
        let expected = Timing {
            initial_delay: Duration::ZERO,
            period: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            failures: 3,
            successes: 1,
        };
        assert_eq!(got, expected);
    }
}
