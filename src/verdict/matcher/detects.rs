//! `detects`: how small a share of calls that break an exact matcher is still seen.
//!
//! An exact matcher looks at every call, and says "never" of as many as there were. Of n calls that each break it with probability p, none
//! does with probability (1-p)^n: 60 calls miss one in a hundred in 55 of 100 runs. So the sample is chosen by the share that must
//! not be missed: n = ln beta / ln (1-p).

use statistics::{Rates, calls_to_see, seen_in};

use crate::verdict::{calls::Calls, judgement::Judgement, outcome::CheckResult, words::percent};

/// Judges `detects`.
pub fn judge(share: f64, calls: &Calls<'_>, rates: Rates) -> Judgement {
    let samples = calls.kept().len() as u64;
    let result = match samples >= calls_to_see(share, rates.beta) {
        true => CheckResult::Holds,
        false => CheckResult::Undecided,
    };
    let missed = 1.0 - seen_in(samples, share);
    Judgement {
        result,
        actual: format!(
            "{samples} calls: {} of them goes unseen in {missed:.1e} of the runs",
            percent(share)
        ),
        samples,
        method: format!("(1-p)^n, beta {:e}", rates.beta),
    }
}
