//! What a claim about *every* call can see: the power of an exact check.
//!
//! A fault that hits a share p of the calls, each independently, stays unseen in n calls with
//! probability (1 - p)^n.

/// Probability that `calls` calls show a fault of `share` at least once.
pub fn seen_in(calls: u64, share: f64) -> f64 {
    1.0 - (1.0 - share).powf(calls as f64)
}

/// The share of calls below which a fault may stay unseen in `calls` calls with more than
/// probability `beta`.
pub fn largest_unseen(calls: u64, beta: f64) -> f64 {
    if calls == 0 {
        return 1.0;
    }
    1.0 - beta.powf(1.0 / calls as f64)
}

/// Calls that show a fault of `share` but for a chance of `beta`.
pub fn calls_to_see(share: f64, beta: f64) -> u64 {
    let calls = beta.ln() / (1.0 - share).ln();
    // A hair below a whole number is that number: 1e-6 at one half are 20 calls.
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
