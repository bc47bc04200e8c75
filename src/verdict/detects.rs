//! `detects`: how small a share of calls that break an exact matcher is still seen.
//!
//! An exact matcher looks at every call, and says "never" of as many as there were. Of n calls that each break it with probability p, none
//! does with probability (1-p)^n: 60 calls miss one in a hundred in 55 of 100 runs. So the sample is chosen by the share that must
//! not be missed: n = ln beta / ln (1-p).

use super::{
    call::Calls, expect::Matcher, expect::percent, outcome::CheckResult, sequential::Judgement,
    stats::Rates,
};

/// Calls among which a share of `share` that breaks a matcher shows itself but for a chance of `beta`.
pub fn size(share: f64, beta: f64) -> u64 {
    let calls = beta.ln() / (-share).ln_1p();
    calls.ceil() as u64
}

/// Judges the matcher; `None` for other kinds.
pub fn judge(matcher: &Matcher, calls: &Calls<'_>, rates: Rates) -> Option<Judgement> {
    let Matcher::Detects(share) = matcher else {
        return None;
    };
    let samples = calls.kept().len() as u64;
    let result = match samples >= size(*share, rates.beta) {
        true => CheckResult::Holds,
        false => CheckResult::Undecided,
    };
    let missed = (1.0 - share).powf(samples as f64);
    Some(Judgement {
        result,
        actual: format!(
            "{samples} calls: {} of them goes unseen in {missed:.1e} of the runs",
            percent(*share)
        ),
        samples,
        method: format!("(1-p)^n, beta {:e}", rates.beta),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(0.01, 1e-6, 1375)]
    #[case(0.05, 1e-6, 270)]
    #[case(0.01, 0.5, 69)]
    fn the_sample_is_the_smallest_that_misses_no_more_than_beta(
        #[case] share: f64,
        #[case] beta: f64,
        #[case] calls: u64,
    ) {
        assert_eq!(size(share, beta), calls);
        let missed = |n: u64| (1.0 - share).powf(n as f64);
        assert!(missed(calls) <= beta && missed(calls - 1) > beta);
    }
}
