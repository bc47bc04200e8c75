//! Sizes against published figures and error rates by simulation.

use rstest::rstest;

use super::{
    sequential::{Decision, Sequential},
    share::{Share, alternatives},
    stats::*,
    testing::{Draws, answered, pod_name, pods},
};

const MILLION: Rates = Rates {
    alpha: 1e-6,
    beta: 1e-6,
};
const PERCENT: Rates = Rates {
    alpha: 1e-2,
    beta: 1e-2,
};

#[rstest]
#[case(2, 21)]
#[case(3, 37)]
#[case(5, 70)]
#[case(10, 153)]
fn calls_to_reach_all_endpoints(#[case] endpoints: u64, #[case] calls: u64) {
    assert_eq!(coverage_size(endpoints, 1e-6), calls);
}

#[rstest]
#[case(2, 21)]
#[case(3, 14)]
#[case(5, 10)]
#[case(10, 7)]
fn calls_that_cannot_agree_by_chance(#[case] endpoints: u64, #[case] calls: u64) {
    assert_eq!(agreement_size(endpoints, 1e-6), calls);
}

#[rstest]
#[case(2, 21)]
#[case(3, 15)]
#[case(5, 12)]
#[case(10, 13)]
fn calls_that_cannot_take_turns_by_chance(#[case] endpoints: u64, #[case] calls: u64) {
    assert_eq!(cycle_size(endpoints, 1e-6), calls);
}

#[rstest]
#[case(3, 791)]
#[case(5, 962)]
#[case(10, 1623)]
fn calls_to_see_one_endpoint_with_twice_the_share(#[case] endpoints: u64, #[case] calls: u64) {
    let size = even_size(endpoints, MILLION);
    assert!(size.abs_diff(calls) <= 2, "{size}, table says {calls}");
}

#[rstest]
#[case(0.9, 0.5, 103)]
#[case(0.9, 0.8, 1119)]
#[case(0.7, 0.6, 2045)]
#[case(0.5, 0.6, 2232)]
fn calls_of_an_exact_binomial_test(#[case] p0: f64, #[case] p1: f64, #[case] calls: u64) {
    let size = Fixed::new(p0, p1, MILLION).n;
    let off = size.abs_diff(calls) as f64 / calls as f64;
    assert!(off < 0.01, "{size}, table says {calls}");
}

#[rstest]
#[case(0, 10, 0.0, 0.3085)]
#[case(5, 10, 0.1871, 0.8129)]
#[case(10, 10, 0.6915, 1.0)]
fn clopper_pearson_interval(
    #[case] hits: u64,
    #[case] n: u64,
    #[case] low: f64,
    #[case] high: f64,
) {
    let (from, to) = interval(hits, n, 0.95);
    assert!(
        (from - low).abs() < 1e-3 && (to - high).abs() < 1e-3,
        "{from} {to}"
    );
}

#[rstest]
#[case(0.9, &[0.8, 0.98])]
#[case(0.1, &[0.02, 0.2])]
#[case(0.5, &[0.4, 0.6])]
#[case(1.0, &[0.9])]
#[case(0.0, &[0.1])]
fn alternatives_stay_inside_the_unit_interval(#[case] share: f64, #[case] expected: &[f64]) {
    let found = alternatives(share);
    assert_eq!(found.len(), expected.len());
    let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-9;
    assert!(found.iter().zip(expected).all(near), "{found:?}");
}

/// Upper limit of a simulated rate: nominal plus four standard errors.
fn limit(rate: f64, runs: u32) -> f64 {
    rate + 4.0 * (rate * (1.0 - rate) / f64::from(runs)).sqrt()
}

const RUNS: u32 = 20_000;

#[rstest]
#[case::healthy(0.9, 0.8, 0.9, Side::Rejected)]
#[case::broken(0.9, 0.8, 0.8, Side::Accepted)]
#[case::healthy_half(0.5, 0.6, 0.5, Side::Rejected)]
#[case::broken_half(0.5, 0.6, 0.6, Side::Accepted)]
#[case::healthy_quarter(1.0 / 9.0, 1.0 / 3.0, 1.0 / 9.0, Side::Rejected)]
fn a_proportion_test_keeps_its_rates(
    #[case] p0: f64,
    #[case] p1: f64,
    #[case] truth: f64,
    #[case] wrong: Side,
) {
    let fresh = Proportion::new(p0, p1, PERCENT);
    let mut draws = Draws(7);
    let mut errors = 0u32;
    for _ in 0..RUNS {
        let mut test = fresh.clone();
        while test.feed(draws.unit() < truth) == Side::Open {}
        errors += u32::from(test.side() == wrong);
    }
    let rate = f64::from(errors) / f64::from(RUNS);
    assert!(rate <= limit(0.01, RUNS), "wrong in {rate}");
}

/// Decision rates of the whole matcher, so that splitting alpha over sides is in it.
#[rstest]
#[case::healthy(0.9, Decision::Refuted)]
#[case::too_low(0.8, Decision::Holds)]
#[case::too_high(0.98, Decision::Holds)]
fn a_share_keeps_its_rates(#[case] truth: f64, #[case] wrong: Decision) {
    let shares = [("v1".to_owned(), 0.9), ("v2".to_owned(), 0.1)].into();
    let calls = ["v1", "v2"].map(|workload| answered(0, "pod", workload));
    let fresh = Share::new(&shares, PERCENT);
    let runs = 4_000;
    let mut draws = Draws(11);
    let mut errors = 0u32;
    for _ in 0..runs {
        let mut test = fresh.clone();
        let decision = loop {
            let call = &calls[usize::from(draws.unit() >= truth)];
            match test.feed(call) {
                Decision::Continue => {}
                decided => break decided,
            }
        };
        errors += u32::from(decision == wrong);
    }
    let rate = f64::from(errors) / f64::from(runs);
    assert!(rate <= limit(0.01, runs), "wrong in {rate}");
}

/// Chi-square over real multinomial draws, both ways.
#[rstest]
#[case::healthy(&[1.0, 1.0, 1.0], Decision::Refuted)]
#[case::one_double(&[2.0, 1.0, 1.0], Decision::Holds)]
fn evenness_keeps_its_rates(#[case] weights: &[f64], #[case] wrong: Decision) {
    let pods = pods(3);
    let calls: Vec<_> = (0..3)
        .map(|at| answered(0, &pod_name(at), "greeter"))
        .collect();
    let total: f64 = weights.iter().sum();
    let fresh = super::even::Even::new("greeter", &pods, PERCENT);
    let runs = 2_000;
    let mut draws = Draws(13);
    let mut errors = 0u32;
    for _ in 0..runs {
        let mut test = fresh.clone();
        let decision = loop {
            let mut left = draws.unit() * total;
            let at = weights.iter().position(|w| {
                left -= w;
                left < 0.0
            });
            match test.feed(&calls[at.unwrap_or(2)]) {
                Decision::Continue => {}
                decided => break decided,
            }
        };
        errors += u32::from(decision == wrong);
    }
    let rate = f64::from(errors) / f64::from(runs);
    assert!(rate <= limit(0.01, runs), "wrong in {rate}");
}

/// Healthy means stay near the ones that planning rests on: far below the cap.
#[test]
fn a_healthy_share_ends_long_before_its_cap() {
    let shares = [("v1".to_owned(), 0.9), ("v2".to_owned(), 0.1)].into();
    let calls = ["v1", "v2"].map(|workload| answered(0, "pod", workload));
    let fresh = Share::new(&shares, MILLION);
    let cap = fresh.cap().unwrap();
    let mut draws = Draws(17);
    let mut total = 0;
    for _ in 0..30 {
        let mut test = fresh.clone();
        while test.feed(&calls[usize::from(draws.unit() >= 0.9)]) == Decision::Continue {}
        total += test.conclude().samples;
    }
    let mean = total / 30;
    assert!(
        (300..550).contains(&mean) && mean * 2 < cap,
        "mean {mean}, cap {cap}"
    );
}
