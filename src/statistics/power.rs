//! The power of an exact check: which faults a claim about *every* call detects.
//!
//! A fault that affects each call independently with probability p is missed in n calls with
//! probability (1 - p)^n.

/// The probability that a fault in a `share` of calls is seen at least once in `calls` calls.
pub fn seen_in(calls: u64, share: f64) -> f64 {
    1.0 - (1.0 - share).powf(calls as f64)
}

/// The largest share of faulty calls that is missed in `calls` calls with probability `beta`.
/// Smaller shares are missed more often.
pub fn largest_unseen(calls: u64, beta: f64) -> f64 {
    if calls == 0 {
        return 1.0;
    }
    1.0 - beta.powf(1.0 / calls as f64)
}

/// The number of calls that miss a fault in a `share` of calls with probability at most `beta`.
pub fn calls_to_see(share: f64, beta: f64) -> u64 {
    let calls = beta.ln() / (1.0 - share).ln();
    // Rounding error must not add a call: 1e-6 at one half is 20 calls.
    (calls - 1e-9).ceil().max(1.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_calls_see_a_leak_of_one_percent_in_45_runs_of_100() {
        assert!((seen_in(60, 0.01) - 0.453).abs() < 1e-3);
    }

    #[test]
    fn the_calls_that_are_asked_for_see_what_they_must() {
        for (share, beta) in [(0.1, 1e-6), (0.01, 1e-6), (0.01, 1e-2), (0.5, 1e-6)] {
            let calls = calls_to_see(share, beta);
            assert!(1.0 - seen_in(calls, share) <= beta * (1.0 + 1e-6));
            assert!(1.0 - seen_in(calls - 1, share) > beta * (1.0 - 1e-6));
            assert!(largest_unseen(calls, beta) <= share * (1.0 + 1e-6));
        }
        assert_eq!(calls_to_see(0.01, 1e-6), 1375);
        assert_eq!(calls_to_see(0.1, 1e-6), 132);
    }
}
