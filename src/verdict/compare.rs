//! Paired comparison: in how many rounds the cost of one run was at most a share of the other's.
//!
//! Both runs of a round see the same machine, so only their ratio counts. If the true median of the
//! ratios lies above the claimed bound, a round falls below the bound with probability at most one
//! half (sign test). The claim holds if the probability of at least this number of rounds below the
//! bound is at most `beta`. It is refuted if the probability of at most this number is at most
//! `alpha`. Anything in between is undecided.

use statistics::Rates;
use statrs::distribution::{Binomial, DiscreteCDF};

use super::outcome::{Check, CheckResult};

/// Names of the checks of a `compare` step.
pub const LATENCY: &str = "latency";
pub const CPU: &str = "cpu";

/// Judges the ratios of all rounds against a bound; `what` is one of the names above.
pub fn judge(probe: &str, what: &str, bound: f64, ratios: &[f64], rates: Rates) -> Check {
    let n = ratios.len() as u64;
    let below = ratios.iter().filter(|ratio| **ratio <= bound).count() as u64;
    let result = decide(below, n, rates);
    Check {
        probe: probe.to_owned(),
        matcher: what.to_owned(),
        expected: format!("at most {:.0} % of the other probe's", bound * 100.0),
        actual: format!(
            "median {:.0} %, half of the rounds between {:.0} % and {:.0} %, {below} of {n} rounds within the bound",
            quantile(ratios, 0.5) * 100.0,
            quantile(ratios, 0.25) * 100.0,
            quantile(ratios, 0.75) * 100.0
        ),
        result,
        contrast: false,
        samples: n,
        method: format!("sign test over {n} paired rounds, {rates}"),
        alpha: Some(rates.alpha),
        class: None,
    }
}

fn decide(below: u64, n: u64, rates: Rates) -> CheckResult {
    let Ok(even) = Binomial::new(0.5, n) else {
        return CheckResult::Undecided;
    };
    let so_many = if below == 0 { 1.0 } else { even.sf(below - 1) };
    match (so_many <= rates.beta, even.cdf(below) <= rates.alpha) {
        (true, _) => CheckResult::Holds,
        (_, true) => CheckResult::Refuted,
        _ => CheckResult::Undecided,
    }
}

/// The number of rounds that is enough for a decision if all of them agree.
pub fn rounds_needed(rates: Rates) -> u32 {
    let least = rates.alpha.min(rates.beta);
    (1..=64)
        .find(|n| 0.5_f64.powi(*n as i32) <= least)
        .unwrap_or(64)
}

/// The quantile `part` of the values; 0 if there are none.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len().saturating_sub(1) as f64 * part).round() as usize;
    sorted.get(at).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::all_within(24, 24, CheckResult::Holds)]
    #[case::one_noisy_round(23, 24, CheckResult::Undecided)]
    #[case::one_noisy_round_of_more(29, 30, CheckResult::Holds)]
    #[case::none_within(0, 24, CheckResult::Refuted)]
    #[case::half(12, 24, CheckResult::Undecided)]
    #[case::too_few_rounds(10, 10, CheckResult::Undecided)]
    #[case::nothing(0, 0, CheckResult::Undecided)]
    fn the_sign_test_decides_only_when_it_can(
        #[case] below: u64,
        #[case] n: u64,
        #[case] result: CheckResult,
    ) {
        assert_eq!(decide(below, n, Rates::default()), result);
    }

    #[test]
    fn the_check_tells_the_median_and_its_spread() {
        let ratios: Vec<f64> = (0..24).map(|at| 0.5 + f64::from(at) / 100.0).collect();
        let check = judge("proxyless", LATENCY, 0.9, &ratios, Rates::default());
        assert_eq!(check.result, CheckResult::Holds);
        assert!(check.actual.starts_with("median 62 %"), "{}", check.actual);
        assert_eq!(rounds_needed(Rates::default()), 20);
    }
}
