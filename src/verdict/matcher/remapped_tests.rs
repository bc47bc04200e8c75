//! The counts of `remapped`, compared with random rings and draws.

use rstest::rstest;
use testbed::control::Observation;

use super::*;
use crate::verdict::{
    answer,
    expect::ResolvedExpect,
    judge,
    matcher::Matcher,
    observations::Observations,
    outcome::CheckResult::{self, *},
    testing::{Draws, MILLION, answered, attempt, pods},
};

fn moved(at_least: f64, at_most: f64) -> Remapped {
    Remapped {
        key: "x-user".to_owned(),
        since: "before".to_owned(),
        at_most,
        at_least,
    }
}

/// Call `n` carries value `n`, and pod `owner(n)` answers it.
fn run(keys: u64, pods_now: usize, owner: impl Fn(u64) -> u64) -> Observations {
    let pods = pods(pods_now);
    let call = |n: u64| {
        let pod = &pods["greeter"][owner(n) as usize];
        let mut call = answered(n, pod, "greeter");
        call.own = vec![("x-user".to_owned(), format!("x-user-{n}"))];
        call
    };
    let calls: Vec<Observation> = (0..keys).map(call).collect();
    let attempts = calls
        .iter()
        .map(|call| attempt(call.index, answer::pod(call).unwrap()));
    Observations {
        attempts: attempts.collect(),
        calls,
        pods,
        ..Observations::default()
    }
}

fn result(
    before: &Observations,
    mut after: Observations,
    matcher: Remapped,
) -> (CheckResult, String) {
    after.before = Some(KeyAssignments::of(&before.calls, &before.pods));
    let matchers = vec![Matcher::from(matcher)];
    let check = judge("p", &ResolvedExpect { matchers }, &after, MILLION).remove(0);
    (check.result, check.actual)
}

/// Deterministic noise per key, like that of a hash.
fn noise(key: u64, salt: u64) -> f64 {
    Draws(key.wrapping_mul(0x2545_F491_4F6C_DD1D) ^ salt).unit()
}

#[rstest]
#[case::a_third(|n| if n % 3 == 0 { 3 } else { n % 3 }, Holds)]
#[case::nothing(|n| n % 3, Refuted)]
#[case::nearly_all(|n| (n + 1) % 3, Refuted)]
fn the_share_of_moved_keys_decides(#[case] after: fn(u64) -> u64, #[case] expected: CheckResult) {
    let (before, after) = (run(300, 3, |n| n % 3), run(300, 4, after));
    assert_eq!(result(&before, after, moved(0.15, 0.55)).0, expected);
}

#[test]
fn a_hash_modulo_the_pods_is_caught() {
    let hash = |n: u64| (noise(n, 1) * 1e9) as u64;
    let (before, after) = (run(300, 3, |n| hash(n) % 3), run(300, 4, |n| hash(n) % 4));
    assert_eq!(result(&before, after, moved(0.15, 0.55)).0, Refuted);
}

#[test]
fn too_few_keys_say_nothing() {
    let (before, after) = (run(20, 3, |n| n % 3), run(20, 4, |n| n % 3));
    let (result, message) = result(&before, after, moved(0.15, 0.55));
    assert_eq!(result, Undecided);
    assert!(message.contains("20 values"), "{message}");
}

#[test]
fn without_a_run_before_nothing_is_said() {
    let matchers = vec![Matcher::from(moved(0.0, 0.5))];
    let seen = run(300, 3, |n| n % 3);
    let check = judge("p", &ResolvedExpect { matchers }, &seen, MILLION).remove(0);
    assert_eq!(check.result, Undecided);
    assert_eq!(check.actual, "before has not run before");
}

/// The points of Envoy's ring with their owners: `1024 / pods` for each pod, rounded up.
fn ring(pods: u64, salt: u64) -> Vec<(f64, u64)> {
    let each = (RING / pods as f64).ceil() as u64;
    let point = |pod: u64, at: u64| (noise(pod << 32 | at, salt), pod);
    let mut points: Vec<(f64, u64)> = (0..pods)
        .flat_map(|pod| (0..each).map(move |at| point(pod, at)))
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}

fn owner(ring: &[(f64, u64)], place: f64) -> u64 {
    let at = ring.partition_point(|(point, _)| *point < place);
    ring[at % ring.len()].1
}

#[rstest]
#[case(1, 2)]
#[case(3, 4)]
#[case(2, 5)]
#[case(4, 3)]
fn real_rings_move_as_many_keys_as_stated(#[case] before: u64, #[case] after: u64) {
    let (worlds, keys) = (200, 300);
    let shares: Vec<f64> = (0..worlds)
        .map(|world| {
            let (then, now) = (ring(before, world), ring(after, world));
            let moved = (0..keys).filter(|key| {
                let place = noise(*key, world << 20 | 7);
                owner(&then, place) != owner(&now, place)
            });
            moved.count() as f64 / keys as f64
        })
        .collect();
    let (few, many) = (before.min(after) as f64, before.max(after) as f64);
    let stated = (many - few) / (2.0 * many - few) * (2.0 - 1.0 / many);
    let mean = shares.iter().sum::<f64>() / worlds as f64;
    assert!((mean - stated).abs() < 0.012, "{mean} for {stated}");
    // The model of the type I error is at least as wide as the distribution of simulated rings.
    let variance = shares
        .iter()
        .map(|share| (share - mean).powi(2))
        .sum::<f64>()
        / worlds as f64;
    let points = RING * (2.0 * many - few) / many / 2.0;
    let modelled = stated * (1.0 - stated) * (1.0 / keys as f64 + 1.0 / points);
    assert!(variance < modelled * 1.2, "{variance} for {modelled}");
}

#[rstest]
#[case::the_suite(0.15, 0.55, 3, 4, true)]
#[case::bound_on_the_expectation(0.0, 0.35, 3, 4, false)]
#[case::bound_beyond_a_draw(0.0, 0.9, 3, 4, false)]
fn only_a_bound_between_ring_and_draw_can_be_decided(
    #[case] least: f64,
    #[case] most: f64,
    #[case] before: u64,
    #[case] after: u64,
    #[case] decidable: bool,
) {
    let needed = moved(least, most).keys_needed(before, after, MILLION);
    assert_eq!(needed.is_some(), decidable, "{needed:?}");
    if let Some(keys) = needed {
        let errors = moved(least, most).errors(keys, before, after);
        assert!(errors.alpha <= 1e-6 && errors.beta <= 1e-6, "{errors}");
        assert!((150..=300).contains(&keys), "{keys}");
    }
}
