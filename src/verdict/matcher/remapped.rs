//! `remapped`: how many keys are answered by another pod than before, counted exactly over the
//! values of a `per-call` key.
//!
//! Envoy's ring has a fixed number of points (Istio's `minimumRingSize`, 1024 by default) that the
//! hosts share. Each point is hashed from address and number (Envoy, `ring_hash_lb.cc`). If n hosts
//! become m > n, the new hosts get (m-n)/m of the points, and the existing hosts give up as many.
//! So a key is remapped if the next point on the ring is a new one, or if it was one that was given
//! up and the point after it belongs to another host: (m-n)/(2m-n) · (2 - 1/m) of the keys. That is
//! 35 % from 3 to 4, more than the 1/m of a ring on which existing hosts keep all their points.
//! Scaling in is the same in reverse. Without a hash, each call is drawn anew and 1 - 1/m of the
//! keys are remapped; the share is the same if the hash is taken modulo the number of hosts.
//!
//! A key falls on a random position of a random ring. The arcs between T random points divide the
//! circle as Dirichlet(1, …, 1), so the count over N keys is beta-binomial. The owners of the
//! points vary as well, for which T is halved.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statistics::Rates;
use statrs::{
    distribution::{Binomial, Discrete},
    function::{beta::ln_beta, factorial::ln_binomial},
};

use super::spec::{Exact, ExpectError, Form, Sample, Spec};
use crate::{
    values::range::{self, ValueError},
    verdict::{
        calls::Calls, judgement::Judgement, key_assignments::KeyAssignments, outcome::CheckResult,
        text::percent,
    },
};

/// The number of points on Envoy's ring under Istio (DestinationRule reference, `minimumRingSize`).
const RING: f64 = 1024.0;

/// The largest number of values of a key that `keys_needed` tries.
const MOST_KEYS: u64 = 10_000;

/// How many keys changed their pod between two probes, e.g. before and after `scale`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Moved")]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Written {
    /// The metadata key that both probes have in `per-call`.
    pub key: String,
    /// The probe with whose last run in this scenario this run is compared.
    pub since: String,
    /// The maximum share of values that are remapped, e.g. `55%`.
    pub at_most: String,
    /// The minimum share of values that are remapped, since a new pod gets its part.
    #[serde(default)]
    pub at_least: Option<String>,
}

/// The matcher with its values parsed. Shares are in 0..=1.
#[derive(Debug, Clone, PartialEq)]
pub struct Remapped {
    pub key: String,
    pub since: String,
    pub at_most: f64,
    pub at_least: f64,
}

impl Spec for Remapped {
    const NAME: &'static str = "remapped";
    const DOC: &'static str = "Share of the values of a `per-call` key that are answered by another pod than in the last run of another probe.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`remapped: {key, since, at-most, at-least}`",
        "at most (and at least) this share of the values of the `per-call` key is answered by another pod than in the last run of the probe `since`",
    )];
    const COUNTS_ANSWERS: bool = true;
    type Written = Written;

    fn read(written: &Written) -> Result<Self, ExpectError> {
        Self::parse(written).map_err(ExpectError::value(Self::NAME))
    }

    fn expected(&self) -> String {
        let most = percent(self.at_most);
        let range = match self.at_least {
            0.0 => format!("at most {most}"),
            least => format!("{} to {most}", percent(least)),
        };
        format!(
            "{range} of the values of {} remapped since {}",
            self.key, self.since
        )
    }

    fn test(&self, sample: &Sample<'_>) -> String {
        let keys = sample.per_call.get(&self.key).copied().unwrap_or(0);
        format!("exact count over {keys} values, {}", sample.rates)
    }
}

impl Exact for Remapped {
    fn judge(&self, calls: &Calls<'_>, rates: Rates) -> Judgement {
        let open = |actual: String| Judgement {
            result: CheckResult::Undecided,
            actual,
            samples: 0,
            method: String::new(),
        };
        let Some(before) = &calls.seen.before else {
            return open(format!("{} has not run before", self.since));
        };
        let now = KeyAssignments::of(calls.judged.iter().copied(), &calls.seen.pods);
        let none = BTreeMap::new();
        let of = |owners: &'_ KeyAssignments| owners.by_key.get(&self.key).cloned();
        let (then, now_by) = (of(before).unwrap_or(none.clone()), of(&now).unwrap_or(none));
        let pairs: Vec<(&String, &String)> = now_by
            .iter()
            .filter_map(|(value, pod)| Some((pod, then.get(value)?)))
            .collect();
        let keys = pairs.len() as u64;
        if keys == 0 {
            let message = format!("no value of {} was answered in both runs", self.key);
            return open(message);
        }
        let changed = pairs.iter().filter(|(now, then)| now != then).count() as u64;
        let errors = self.errors(keys, before.pods, now.pods);
        let (result, wrong, expected) = if self.holds(changed, keys) {
            (CheckResult::Holds, errors.beta, rates.beta)
        } else {
            (CheckResult::Refuted, errors.alpha, rates.alpha)
        };
        let share = percent(changed as f64 / keys as f64);
        let mut actual = format!("{share} ({changed} of {keys})");
        let result = if wrong > expected {
            actual += &format!("; with {keys} values the error rate would be {wrong:.0e}");
            CheckResult::Undecided
        } else {
            result
        };
        Judgement {
            result,
            actual,
            samples: keys,
            method: format!(
                "count over {keys} values, {} to {} pods: type I error rate {:.0e} on a ring of 1024 points, type II error rate {:.0e} if each call is drawn",
                before.pods, now.pods, errors.alpha, errors.beta
            ),
        }
    }
}

impl Remapped {
    /// Parses both shares.
    ///
    /// # Errors
    /// An invalid share, or a minimum above the maximum.
    fn parse(moved: &Written) -> Result<Self, ValueError> {
        let at_most = range::share(&moved.at_most)?;
        let at_least = moved.at_least.as_deref().map(range::share).transpose()?;
        let at_least = at_least.unwrap_or(0.0);
        if at_least > at_most {
            let (from, to) = (percent(at_least), percent(at_most));
            return Err(ValueError::Inverted(format!("{from} to {to}")));
        }
        Ok(Self {
            key: moved.key.clone(),
            since: moved.since.clone(),
            at_most,
            at_least,
        })
    }

    fn holds(&self, moved: u64, keys: u64) -> bool {
        // Shares are decimal fractions: 55 % of 300 are 165, whatever the binary fraction says.
        let slack = 1e-9 * keys as f64;
        let (moved, keys) = (moved as f64, keys as f64);
        moved <= self.at_most * keys + slack && moved >= self.at_least * keys - slack
    }

    /// The type I and type II error rates over `keys` values, from `before` to `after` pods.
    pub fn errors(&self, keys: u64, before: u64, after: u64) -> Rates {
        let (few, many) = (before.min(after) as f64, before.max(after) as f64);
        let share = (many - few) / (2.0 * many - few) * (2.0 - 1.0 / many);
        let points = RING * (2.0 * many - few) / many / 2.0;
        let drawn = Binomial::new(1.0 - 1.0 / many, keys).ok();
        let (mut alarm, mut miss) = (0.0, 0.0);
        for moved in 0..=keys {
            if self.holds(moved, keys) {
                miss += drawn.as_ref().map_or(1.0, |drawn| drawn.pmf(moved));
            } else {
                alarm += ring_chance(moved, keys, share, points);
            }
        }
        Rates {
            alpha: alarm,
            beta: miss,
        }
    }

    /// The number of values of the key that keeps both rates; `None` if no number does.
    pub fn keys_needed(&self, before: u64, after: u64, rates: Rates) -> Option<u64> {
        let keeps = |keys: u64| {
            let errors = self.errors(keys, before, after);
            errors.alpha <= rates.alpha && errors.beta <= rates.beta
        };
        let steps = std::iter::successors(Some(10), |keys| Some(keys + keys / 10));
        steps
            .take_while(|keys| *keys <= MOST_KEYS)
            .find(|keys| keeps(*keys))
    }
}

/// P(`moved` of `keys` are remapped) on a ring with this number of `points`, of which the part
/// `share` is remapped.
fn ring_chance(moved: u64, keys: u64, share: f64, points: f64) -> f64 {
    if share <= 0.0 {
        return if moved == 0 { 1.0 } else { 0.0 };
    }
    let (a, b) = (share * points, (1.0 - share) * points);
    let (k, rest) = (moved as f64, (keys - moved) as f64);
    (ln_binomial(keys, moved) + ln_beta(k + a, rest + b) - ln_beta(a, b)).exp()
}

#[cfg(test)]
#[path = "remapped_tests.rs"]
mod tests;
