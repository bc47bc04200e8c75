//! Sample sizes compared with published figures.

use crate::*;

const MILLION: Rates = Rates {
    alpha: 1e-6,
    beta: 1e-6,
};

#[test]
fn calls_to_reach_all_endpoints() {
    for (endpoints, calls) in [(2, 21), (3, 37), (5, 70), (10, 153)] {
        assert_eq!(coverage_size(endpoints, 1e-6), calls);
    }
}

#[test]
fn repeats_that_cannot_agree_by_chance() {
    for (endpoints, repeats) in [(2, 20), (3, 13), (5, 9), (10, 6)] {
        assert_eq!(repeats_needed(endpoints, 1e-6), repeats);
    }
}

#[test]
fn calls_that_cannot_take_turns_by_chance() {
    for (endpoints, calls) in [(2, 21), (3, 15), (5, 12), (10, 13)] {
        assert_eq!(turns_size(endpoints, 1e-6), calls);
    }
}

#[test]
fn calls_of_an_exact_binomial_test() {
    for (p0, p1, calls) in [
        (0.9, 0.5, 103),
        (0.9, 0.8, 1119),
        (0.7, 0.6, 2045),
        (0.5, 0.6, 2232),
    ] {
        let size = Fixed::new(p0, p1, MILLION).n;
        let off = size.abs_diff(calls) as f64 / calls as f64;
        assert!(off < 0.01, "{size}, published: {calls}");
    }
}

#[test]
fn clopper_pearson_interval() {
    for (hits, low, high) in [(0, 0.0, 0.3085), (5, 0.1871, 0.8129), (10, 0.6915, 1.0)] {
        let (from, to) = interval(hits, 10, 0.95);
        assert!(
            (from - low).abs() < 1e-3 && (to - high).abs() < 1e-3,
            "{from} {to}"
        );
    }
}

#[test]
fn alternatives_stay_inside_the_unit_interval() {
    let cases: [(f64, &[f64]); 5] = [
        (0.9, &[0.8, 0.98]),
        (0.1, &[0.02, 0.2]),
        (0.5, &[0.4, 0.6]),
        (1.0, &[0.9]),
        (0.0, &[0.1]),
    ];
    for (share, expected) in cases {
        let found = alternatives(share);
        assert_eq!(found.len(), expected.len());
        let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-9;
        assert!(found.iter().zip(expected).all(near), "{found:?}");
    }
}

/// A claim may be tested many times; all attempts together keep the type II error rate.
#[test]
fn all_looks_together_spend_the_rate_of_misses() {
    let spent: f64 = (1..=100_000).map(|look| MILLION.at_look(look).beta).sum();
    assert!(
        spent <= MILLION.beta && spent > 0.99 * MILLION.beta,
        "{spent:e}"
    );
    assert_eq!(MILLION.at_look(7).alpha, MILLION.alpha);
}
