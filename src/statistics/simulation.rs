//! Error rates by simulation: a million runs of each rule, with four calls in flight of different
//! durations, and with calls that fail.

use crate::*;

const PERCENT: Rates = Rates {
    alpha: 1e-2,
    beta: 1e-2,
};
const RUNS: u32 = 1_000_000;
const IN_FLIGHT: usize = 4;
/// The share of calls that no application answers.
const FAILURES: f64 = 0.05;
/// The number of calls after which a run without a decision is an error.
const MOST_CALLS: u64 = 100_000;

/// A small, fast random number generator for simulations (splitmix64, Steele et al. 2014).
struct Draws(u64);

impl Draws {
    /// Uniform in 0..1.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// One of the kinds, by weight.
    fn kind(&mut self, weights: &[f64]) -> usize {
        let mut left = self.unit() * weights.iter().sum::<f64>();
        let found = weights.iter().position(|weight| {
            left -= weight;
            left < 0.0
        });
        found.unwrap_or(weights.len() - 1)
    }
}

/// A mesh that draws a kind for each call independently, and the duration of each kind.
struct Mesh<'a> {
    weights: &'a [f64],
    times: &'a [f64],
}

#[derive(Clone, Copy, PartialEq)]
enum Reading {
    /// By number, as meshproof does.
    InOrder,
    /// As answers arrive.
    AsTheyCome,
}

/// One run: four calls in flight, and a new one for each that ends, until the rule has decided.
fn run(
    mesh: &Mesh<'_>,
    draws: &mut Draws,
    reading: Reading,
    mut feed: impl FnMut(usize) -> Decision,
) -> Decision {
    let mut order = InOrder::default();
    let mut begin = |number: u64, now: f64| {
        let kind = draws.kind(mesh.weights);
        let takes = mesh.times[kind] * (0.5 + draws.unit());
        let answer = (draws.unit() >= FAILURES).then_some(kind);
        (now + takes, number, answer)
    };
    let mut flying: [(f64, u64, Option<usize>); IN_FLIGHT] =
        std::array::from_fn(|number| begin(number as u64, 0.0));
    for next in IN_FLIGHT as u64..MOST_CALLS {
        let slot = (1..IN_FLIGHT).fold(0, |least, slot| {
            if flying[slot].0 < flying[least].0 {
                slot
            } else {
                least
            }
        });
        let (now, number, answer) = flying[slot];
        let mut decision = Decision::Continue;
        if reading == Reading::InOrder {
            for kind in order.push(number, answer).flatten() {
                decision = feed(kind);
                if decision != Decision::Continue {
                    break;
                }
            }
        } else if let Some(kind) = answer {
            decision = feed(kind);
        }
        if decision != Decision::Continue {
            return decision;
        }
        flying[slot] = begin(next, now);
    }
    Decision::Continue
}

/// The share of `runs` runs of a rule that end with the decision `wrong`. Every run must decide.
fn rate<R: Clone>(
    mesh: &Mesh<'_>,
    fresh: &R,
    feed: impl Fn(&mut R, usize) -> Decision,
    reading: Reading,
    wrong: Decision,
    runs: u32,
) -> f64 {
    let mut draws = Draws(7);
    let mut errors = 0u32;
    for _ in 0..runs {
        let mut rule = fresh.clone();
        let decision = run(mesh, &mut draws, reading, |kind| feed(&mut rule, kind));
        assert_ne!(decision, Decision::Continue, "the run has no decision");
        errors += u32::from(decision == wrong);
    }
    f64::from(errors) / f64::from(runs)
}

/// The declared rate plus four standard errors.
fn limit(rate: f64, runs: u32) -> f64 {
    rate + 4.0 * (rate * (1.0 - rate) / f64::from(runs)).sqrt()
}

fn assert_kept(found: f64, declared: f64, runs: u32) {
    assert!(
        found <= limit(declared, runs),
        "wrong in {found} of the runs, declared {declared}"
    );
}

fn shares(rule: &mut Shares, kind: usize) -> Decision {
    rule.feed(Some(kind))
}

#[test]
fn shares_of_a_healthy_mesh_whatever_their_times() {
    let rule = Shares::new(&[0.9, 0.1], PERCENT);
    for (slower, runs) in [
        (1.0, RUNS / 10),
        (10.0, RUNS),
        (100.0, RUNS / 20),
        (0.1, RUNS / 10),
    ] {
        let mesh = Mesh {
            weights: &[0.9, 0.1],
            times: &[1.0, slower],
        };
        let found = rate(
            &mesh,
            &rule,
            shares,
            Reading::InOrder,
            Decision::Refuted,
            runs,
        );
        assert_kept(found, PERCENT.alpha, runs);
    }
}

/// Why answers are read by number: if they are read as they arrive, a slow canary is refuted many
/// times more often than declared.
#[test]
fn answers_read_as_they_come_break_the_rate() {
    let rule = Shares::new(&[0.9, 0.1], PERCENT);
    let mesh = Mesh {
        weights: &[0.9, 0.1],
        times: &[1.0, 1000.0],
    };
    let found = rate(
        &mesh,
        &rule,
        shares,
        Reading::AsTheyCome,
        Decision::Refuted,
        20_000,
    );
    assert!(found > 5.0 * PERCENT.alpha, "only {found}");
}

#[test]
fn shares_of_a_broken_mesh_are_missed_as_declared() {
    let rule = Shares::new(&[0.9, 0.1], PERCENT);
    for (truth, runs) in [(0.8, RUNS), (0.98, RUNS / 10)] {
        let mesh = Mesh {
            weights: &[truth, 1.0 - truth],
            times: &[1.0, 5.0],
        };
        let found = rate(
            &mesh,
            &rule,
            shares,
            Reading::InOrder,
            Decision::Holds,
            runs,
        );
        assert_kept(found, PERCENT.beta, runs);
    }
}

#[test]
fn three_shares_keep_their_rates() {
    let rule = Shares::new(&[0.5, 0.3, 0.2], PERCENT);
    let times = &[1.0, 2.0, 10.0];
    for (weights, wrong) in [
        (&[0.5, 0.3, 0.2], Decision::Refuted),
        (&[0.6, 0.2, 0.2], Decision::Holds),
    ] {
        let mesh = Mesh { weights, times };
        let found = rate(&mesh, &rule, shares, Reading::InOrder, wrong, RUNS / 10);
        assert_kept(found, 1e-2, RUNS / 10);
    }
}

#[test]
fn evenness_keeps_its_rates() {
    for pods in [2, 3, 5] {
        let rule = Evenness::new(pods, PERCENT).expect("more than one pod");
        let times: Vec<f64> = (0..pods).map(|pod| 1.0 + 2.0 * pod as f64).collect();
        let mut weights = vec![1.0; pods];
        let feed = |rule: &mut Evenness, pod| rule.feed(Some(pod));
        for wrong in [Decision::Refuted, Decision::Holds] {
            let first = pods == 3 && wrong == Decision::Refuted;
            let runs = if first { RUNS } else { RUNS / 20 };
            if wrong == Decision::Holds {
                weights[pods - 1] = 2.0;
            }
            let mesh = Mesh {
                weights: &weights,
                times: &times,
            };
            assert_kept(
                rate(&mesh, &rule, feed, Reading::InOrder, wrong, runs),
                1e-2,
                runs,
            );
        }
    }
}

#[test]
fn coverage_keeps_its_rate() {
    let rule = Coverage::new(5, 1e-2).expect("at least one pod");
    let mesh = Mesh {
        weights: &[1.0; 5],
        times: &[1.0, 1.0, 1.0, 1.0, 20.0],
    };
    let feed = |rule: &mut Coverage, pod| rule.feed(Some(pod));
    assert_kept(
        rate(
            &mesh,
            &rule,
            feed,
            Reading::InOrder,
            Decision::Refuted,
            RUNS,
        ),
        1e-2,
        RUNS,
    );
    let starved = Mesh {
        weights: &[1.0, 1.0, 1.0, 1.0, 0.0],
        ..mesh
    };
    assert_kept(
        rate(
            &starved,
            &rule,
            feed,
            Reading::InOrder,
            Decision::Holds,
            1000,
        ),
        0.0,
        1000,
    );
}

#[test]
fn turns_are_not_imitated_by_chance() {
    let rule = Turns::new(3, PERCENT).expect("more than one pod");
    let mesh = Mesh {
        weights: &[1.0; 3],
        times: &[1.0, 2.0, 10.0],
    };
    assert_kept(
        rate(
            &mesh,
            &rule,
            Turns::feed,
            Reading::InOrder,
            Decision::Holds,
            RUNS,
        ),
        1e-2,
        RUNS,
    );
}

#[test]
fn independent_draws_are_called_so() {
    let rule = Independence::new(3, PERCENT).expect("more than one pod");
    let mesh = Mesh {
        weights: &[1.0; 3],
        times: &[1.0, 2.0, 10.0],
    };
    let found = rate(
        &mesh,
        &rule,
        Independence::feed,
        Reading::InOrder,
        Decision::Refuted,
        RUNS,
    );
    assert_kept(found, 1e-2, RUNS);
}

#[test]
fn independent_draws_do_not_agree_by_chance() {
    let mut rule = Agreement::new(1e-2);
    rule.among(3);
    let mesh = Mesh {
        weights: &[1.0; 3],
        times: &[1.0, 2.0, 10.0],
    };
    let feed = |rule: &mut Agreement, pod| rule.feed(0, pod);
    assert_kept(
        rate(&mesh, &rule, feed, Reading::InOrder, Decision::Holds, RUNS),
        1e-2,
        RUNS,
    );
}

/// Least-request among three pods selects the busy one in a ninth of the calls, a random choice in
/// a third.
#[test]
fn a_proportion_keeps_its_rates() {
    let rule = Proportion::new(1.0 / 9.0, 1.0 / 3.0, PERCENT);
    let feed = |rule: &mut Proportion, kind| rule.feed(kind == 0);
    for (truth, wrong) in [(1.0 / 9.0, Decision::Refuted), (1.0 / 3.0, Decision::Holds)] {
        let mesh = Mesh {
            weights: &[truth, 1.0 - truth],
            times: &[10.0, 1.0],
        };
        assert_kept(
            rate(&mesh, &rule, feed, Reading::InOrder, wrong, RUNS),
            1e-2,
            RUNS,
        );
    }
}

/// A claim that is tested until it holds: all attempts together keep the declared type II error
/// rate.
#[test]
fn many_looks_miss_as_declared() {
    let looks: Vec<Proportion> = (1..=20)
        .map(|look| Proportion::new(0.5, 0.9, PERCENT.at_look(look)))
        .collect();
    let mut draws = Draws(3);
    let mut missed = 0u32;
    for _ in 0..RUNS / 10 {
        let holds = looks.iter().any(|fresh| {
            let mut test = fresh.clone();
            while test.feed(draws.unit() < 0.9) == Decision::Continue {}
            test.decision() == Decision::Holds
        });
        missed += u32::from(holds);
    }
    assert_kept(
        f64::from(missed) / f64::from(RUNS / 10),
        PERCENT.beta,
        RUNS / 10,
    );
}

/// On a healthy mesh, the mean sample size is near the one used for planning, far below the cap.
#[test]
fn a_healthy_share_ends_long_before_its_cap() {
    let million = Rates::default();
    let fresh = Shares::new(&[0.9, 0.1], million);
    let cap = fresh.cap().expect("two kinds");
    let mut draws = Draws(17);
    let mut total = 0;
    for _ in 0..1000 {
        let mut test = fresh.clone();
        total += 1;
        while test.feed(Some(draws.kind(&[0.9, 0.1]))) == Decision::Continue {
            total += 1;
        }
    }
    let mean = total / 1000;
    assert!(
        (300..550).contains(&mean) && mean * 2 < cap,
        "mean {mean}, cap {cap}"
    );
}
