//! Looking again and again until something is so, or the time for it is over.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// What is quick is seen this soon.
const FIRST: Duration = Duration::from_millis(5);
/// Pauses do not grow longer than this.
const MOST: Duration = Duration::from_millis(100);
/// A pause is this part of the time that has gone by: what takes long is seen a little later, and not slowed by being looked at.
const PART: u32 = 10;

/// Looks at something that is to come within a limit.
#[derive(Debug)]
pub struct Looks {
    began: Instant,
    limit: Duration,
}

impl Looks {
    /// From now on.
    #[must_use]
    pub fn within(limit: Duration) -> Self {
        let began = Instant::now();
        Self { began, limit }
    }

    /// How long it has been looked at.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The limit is over.
    #[must_use]
    pub fn over(&self) -> bool {
        self.elapsed() > self.limit
    }

    /// Waits before the next look.
    pub async fn pause(&self) {
        sleep(pause(self.elapsed())).await;
    }
}

fn pause(elapsed: Duration) -> Duration {
    (elapsed / PART).clamp(FIRST, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::at_first(0, 5)]
    #[case::then_in_proportion(300, 30)]
    #[case::never_longer(9_000, 100)]
    fn pauses_grow_with_the_time_that_has_gone_by(#[case] elapsed: u64, #[case] wanted: u64) {
        let millis = Duration::from_millis;
        assert_eq!(pause(millis(elapsed)), millis(wanted));
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
