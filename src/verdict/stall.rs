//! Whether a call may have been too slow because the caller or the machine stalled.

use std::{fmt, time::Duration};

use testbed::{
    control::{Observation, Stall},
    stall::TICK,
};

/// Stalls during one run of a probe, on the caller's clock, by the program that noticed them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stalls {
    /// The caller itself.
    pub caller: Vec<Stall>,
    /// The harness, on the same machine as a local target.
    pub harness: Vec<Stall>,
}

/// The longest stall during a call, and the program that noticed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StallExplanation {
    stalled: Duration,
    who: &'static str,
}

impl fmt::Display for StallExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.stalled.as_millis();
        write!(
            f,
            "this machine stalled for {ms} ms (noticed by {})",
            self.who
        )
    }
}

impl Stalls {
    /// Returns a stall that is long enough to have made `call` end `excess` too late. One tick is
    /// added, since a stall may begin that long before it is noticed. Without a noticed stall, no
    /// delay is excused.
    pub fn excuse(&self, call: &Observation, excess: Duration) -> Option<StallExplanation> {
        let of = |stalls: &[Stall], who| {
            let beside = stalls.iter().map(|stall| overlap(stall, call));
            let stalled = Duration::from_micros(beside.sum());
            StallExplanation { stalled, who }
        };
        let most = of(&self.caller, "the caller").max(of(&self.harness, "the harness"));
        (most.stalled > Duration::ZERO && most.stalled + TICK >= excess).then_some(most)
    }
}

/// Microseconds of a stall within a call.
fn overlap(stall: &Stall, call: &Observation) -> u64 {
    let end = (stall.at_us + stall.for_us).min(call.end_us);
    end.saturating_sub(stall.at_us.max(call.sent_us))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::testing::answered;

    /// A call from 1 s to 2 s on the caller's clock, with stalls of (start, length) in
    /// milliseconds.
    fn excused(stalls: &[(u64, u64)], excess_ms: u64) -> bool {
        let mut call = answered(0, "greeter-a", "greeter");
        (call.sent_us, call.end_us) = (1_000_000, 2_000_000);
        let stall = |(at, long): &(u64, u64)| Stall {
            at_us: at * 1000,
            for_us: long * 1000,
        };
        let stalls: Vec<Stall> = stalls.iter().map(stall).collect();
        let excess = Duration::from_millis(excess_ms);
        let by = |caller, harness| Stalls { caller, harness }.excuse(&call, excess);
        let (caller, harness) = (by(stalls.clone(), Vec::new()), by(Vec::new(), stalls));
        assert_eq!(
            caller.is_some(),
            harness.is_some(),
            "both sides count alike"
        );
        caller.is_some()
    }

    #[rstest::rstest]
    #[case::nothing_noticed(&[], 10, false)]
    #[case::longer_than_the_excess(&[(1200, 300)], 250, true)]
    #[case::noticed_a_tick_late(&[(1200, 300)], 350, true)]
    #[case::shorter_than_the_excess(&[(1200, 300)], 351, false)]
    #[case::two_of_them(&[(1200, 200), (1600, 200)], 400, true)]
    #[case::before_the_call(&[(500, 400)], 10, false)]
    #[case::after_the_call(&[(2000, 400)], 10, false)]
    #[case::half_before(&[(800, 400)], 260, false)]
    fn only_a_stall_beside_the_call_excuses_it(
        #[case] stalls: &[(u64, u64)],
        #[case] excess_ms: u64,
        #[case] excuse: bool,
    ) {
        assert_eq!(excused(stalls, excess_ms), excuse);
    }
}
