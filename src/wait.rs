//! Polls a condition until it holds or a timeout expires.

use std::{
    error::Error,
    fmt,
    future::Future,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};

/// The shortest pause between polls.
const FIRST: Duration = Duration::from_millis(10);
/// The longest pause between polls.
const MOST: Duration = Duration::from_millis(100);
/// A pause is the elapsed time divided by this: a slow condition is noticed a little later, and
/// is not slowed down by polling.
const PART: u32 = 6;

/// The result of one poll of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look<T, U = String> {
    /// The condition holds.
    Met(T),
    /// It does not hold yet. Carries what was seen instead, for a message or for the caller.
    Unmet(U),
}

/// A condition did not hold within its timeout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the condition did not hold after {:.1} s; last seen: {last_seen}", waited.as_secs_f64())]
pub struct TimedOut<U = String> {
    pub waited: Duration,
    pub last_seen: U,
}

/// An error of a wait for a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitError<E, U = String> {
    TimedOut(TimedOut<U>),
    /// A poll failed; waiting longer is of no use.
    Failed(E),
}

impl<E, U> WaitError<E, U> {
    /// Returns the error of the condition, or the caller's error for a timeout.
    pub fn or_late(self, late: impl FnOnce(TimedOut<U>) -> E) -> E {
        match self {
            Self::TimedOut(error) => late(error),
            Self::Failed(error) => error,
        }
    }
}

impl<E: fmt::Display, U: fmt::Display> fmt::Display for WaitError<E, U> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(error) => error.fmt(to),
            Self::Failed(error) => error.fmt(to),
        }
    }
}

impl<E: Error, U: fmt::Debug + fmt::Display> Error for WaitError<E, U> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::TimedOut(_) => None,
            Self::Failed(error) => error.source(),
        }
    }
}

/// Polls a condition until it holds, at least once and for at most `limit`. The condition gets
/// the time that has elapsed.
///
/// The condition is not an `AsyncFnMut`: it cannot be expressed that the future of such a closure
/// is `Send` for every lifetime, and waits are part of spawned tasks. An `async |_|` closure that
/// changes nothing outside is fine.
///
/// # Errors
/// [`WaitError::TimedOut`] with the result of the last poll. An error of the condition itself is
/// returned at once.
pub async fn until<T, U, E, F>(
    limit: Duration,
    mut condition: impl FnMut(Duration) -> F,
) -> Result<T, WaitError<E, U>>
where
    F: Future<Output = Result<Look<T, U>, E>>,
{
    let looks = Looks::within(limit);
    loop {
        let last_seen = match condition(looks.elapsed()).await {
            Ok(Look::Met(value)) => return Ok(value),
            Ok(Look::Unmet(last_seen)) => last_seen,
            Err(error) => return Err(WaitError::Failed(error)),
        };
        if looks.over() {
            let waited = looks.elapsed();
            return Err(WaitError::TimedOut(TimedOut { waited, last_seen }));
        }
        looks.pause().await;
    }
}

/// Like [`until`], but a timeout is not an error: it returns the result of the last poll.
///
/// # Errors
/// Those of the condition itself.
pub async fn or_last_seen<T, E, F>(
    limit: Duration,
    condition: impl FnMut(Duration) -> F,
) -> Result<T, E>
where
    F: Future<Output = Result<Look<T, T>, E>>,
{
    match until(limit, condition).await {
        Ok(seen)
        | Err(WaitError::TimedOut(TimedOut {
            last_seen: seen, ..
        })) => Ok(seen),
        Err(WaitError::Failed(error)) => Err(error),
    }
}

/// Measures how long polled values have stayed the same.
#[derive(Debug, Default)]
pub struct Steady<T>(Mutex<Option<(T, Instant)>>);

impl<T: PartialEq> Steady<T> {
    /// Records the value that a poll shows now, and returns how long it has been unchanged.
    pub fn seen(&self, now: T) -> Duration {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((same, since)) if *same == now => since.elapsed(),
            _ => {
                *last = Some((now, Instant::now()));
                Duration::ZERO
            }
        }
    }
}

/// The schedule of the polls of one wait.
#[derive(Debug)]
struct Looks {
    began: Instant,
    limit: Duration,
}

impl Looks {
    /// Starts now.
    fn within(limit: Duration) -> Self {
        let began = Instant::now();
        Self { began, limit }
    }

    /// The time since the start.
    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Whether the limit has passed.
    fn over(&self) -> bool {
        self.elapsed() > self.limit
    }

    /// Waits until the next poll.
    async fn pause(&self) {
        sleep(pause(self.elapsed())).await;
    }
}

fn pause(elapsed: Duration) -> Duration {
    (elapsed / PART).clamp(FIRST, MOST)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[rstest::rstest]
    #[case::at_first(0, 10)]
    #[case::then_in_proportion(300, 50)]
    #[case::never_longer(9_000, 100)]
    fn pauses_grow_with_the_time_that_has_gone_by(#[case] elapsed: u64, #[case] expected: u64) {
        let millis = Duration::from_millis;
        assert_eq!(pause(millis(elapsed)), millis(expected));
    }

    /// Polls for at most 60 ms. Poll number `met` holds, and poll number `fails` is an error.
    async fn wait(met: u32, fails: u32) -> Result<u32, WaitError<&'static str>> {
        let mut count = 0;
        let looked = until(Duration::from_millis(60), |_| {
            count += 1;
            let now = count;
            async move {
                match now {
                    _ if now == fails => Err("broken"),
                    _ if now == met => Ok(Look::Met(now)),
                    _ => Ok(Look::Unmet(format!("look {now}"))),
                }
            }
        });
        looked.await
    }

    #[tokio::test]
    async fn a_condition_is_looked_at_until_it_holds_fails_or_is_late() {
        let spawned = tokio::spawn(wait(3, 0));
        assert_eq!(spawned.await.expect("it ends"), Ok(3));
        assert_eq!(wait(0, 2).await, Err(WaitError::Failed("broken")));
        let Err(WaitError::TimedOut(late)) = wait(0, 0).await else {
            panic!("it never holds");
        };
        assert!(late.waited > Duration::from_millis(60));
        let (reported, last) = (late.to_string(), late.last_seen);
        assert!(last.starts_with("look "), "{last}");
        assert!(
            reported.starts_with("the condition did not hold after 0."),
            "{reported}"
        );
        assert!(
            reported.ends_with(&format!(" s; last seen: {last}")),
            "{reported}"
        );
    }

    #[tokio::test]
    async fn what_is_seen_last_may_be_good_enough() {
        let enough = AtomicU32::new(0);
        let looked = or_last_seen(Duration::from_millis(20), async |_| {
            let now = enough.fetch_add(1, Ordering::Relaxed);
            Ok::<_, &str>(Look::Unmet(now))
        });
        let last = looked.await;
        assert_eq!(last, Ok(enough.into_inner() - 1));
    }

    #[tokio::test]
    async fn what_changes_is_not_steady() {
        let (steady, pause) = (Steady::default(), Duration::from_millis(30));
        assert_eq!(steady.seen(1), Duration::ZERO);
        sleep(pause).await;
        assert!(steady.seen(1) >= pause);
        assert_eq!(steady.seen(2), Duration::ZERO);
    }

    #[tokio::test]
    async fn the_limit_is_over_once_it_has_gone_by() {
        let limit = Duration::from_millis(200);
        let looks = Looks::within(limit);
        let mut count = 0;
        while !looks.over() {
            assert!(looks.elapsed() <= limit + limit);
            looks.pause().await;
            count += 1;
        }
        assert!(looks.elapsed() > limit && count <= 40, "{count}");
    }
}
