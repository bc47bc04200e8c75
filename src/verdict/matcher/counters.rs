//! `counters`: growth of a proxy's counters, compared with the ledgers.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statistics::Rates;

use super::spec::{Around, Exact, ExpectError, Form, Mistake, Named, Spec};
use crate::{
    text::glob,
    verdict::{
        calls::Calls,
        judgement::{Judgement, decide, exact},
        tally::Tally,
    },
};

/// The growth of a proxy's counters while the calls ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Counters {
    /// The workload whose sidecar's counters are read, or `gateway`.
    pub at: String,
    /// Names of Envoy's counters (`*` for any part), and what the sum of their growth must equal.
    pub stats: BTreeMap<String, Quantity>,
}

/// A number from the ledgers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// Calls that the client made.
    Calls,
    /// Attempts that the servers counted.
    Attempts,
    /// Attempts beyond the first of each call.
    Retries,
    /// Calls that ended OK.
    Ok,
    /// Calls that ended with another status.
    Failed,
    /// The counter did not grow.
    Zero,
    /// This number, whatever the ledgers say.
    #[serde(untagged)]
    Number(u64),
}

impl Quantity {
    fn of(self, calls: &Calls<'_>) -> u64 {
        let all = calls.seen.calls.len() as u64;
        let attempts = calls.seen.attempts.len() as u64;
        let ok = calls.seen.calls.iter().filter(|call| call.status.code == 0);
        let ok = ok.count() as u64;
        match self {
            Quantity::Calls => all,
            Quantity::Attempts => attempts,
            Quantity::Retries => attempts.saturating_sub(all),
            Quantity::Ok => ok,
            Quantity::Failed => all - ok,
            Quantity::Zero => 0,
            Quantity::Number(number) => number,
        }
    }

    fn describe(self) -> String {
        let word = match self {
            Quantity::Calls => "calls",
            Quantity::Attempts => "attempts",
            Quantity::Retries => "retries",
            Quantity::Ok => "calls that ended OK",
            Quantity::Failed => "calls that failed",
            Quantity::Zero => "0",
            Quantity::Number(number) => return number.to_string(),
        };
        word.to_owned()
    }
}

impl Spec for Counters {
    const NAME: &'static str = "counters";
    const DOC: &'static str = "Growth of a proxy's counters, compared with the ledgers.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`counters: {at, stats}`",
        "each of these Envoy counters (`*` for any part of the name) grew by the ledgers' number of `calls`, `attempts`, `retries`, `ok` or `failed`, by `zero`, or by a number",
    )];
    type Written = Self;

    fn read(written: &Self) -> Result<Self, ExpectError> {
        Ok(written.clone())
    }

    fn expected(&self) -> String {
        let each = self.stats.iter();
        let each = each.map(|(name, what)| format!("{} = {}", short(name), what.describe()));
        let each = each.collect::<Vec<_>>().join(", ");
        format!("the proxy of {} counted {each}", self.at)
    }

    fn expand(&mut self, expand: &dyn Fn(&str) -> String) {
        let each = std::mem::take(&mut self.stats).into_iter();
        self.stats = each.map(|(name, what)| (expand(&name), what)).collect();
    }

    fn names(&self) -> Vec<Named<'_>> {
        vec![Named::Proxy(&self.at)]
    }

    fn mistakes(&self, _: &Around<'_>) -> Vec<Mistake> {
        if !self.stats.is_empty() {
            return Vec::new();
        }
        vec![Mistake::new(
            "'counters' names no counter",
            "list at least one of Envoy's counters in `stats`",
        )]
    }
}

impl Counters {
    /// The numbers that the ledgers give for each counter.
    pub fn expected_counts(&self, calls: &Calls<'_>) -> BTreeMap<String, u64> {
        let each = self.stats.iter();
        each.map(|(name, what)| (name.clone(), what.of(calls)))
            .collect()
    }
}

impl Exact for Counters {
    /// A counter that the proxy does not have counts as 0. If the proxy has none of them, the check
    /// is undecided.
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        let grown = &calls.seen.telemetry.counters;
        let mut parts = Vec::new();
        let mut good = true;
        for (name, number) in self.expected_counts(calls) {
            let seen = total(grown, &name);
            good &= seen == number;
            parts.push(format!("{} = {seen} (expected {number})", short(&name)));
        }
        let nothing = grown.is_empty() || calls.seen.calls.is_empty();
        let mut judgement = exact(decide(nothing, good), Tally::default());
        judgement.samples = calls.seen.calls.len() as u64;
        judgement.actual = match grown.is_empty() {
            true => "the proxy has none of these counters".to_owned(),
            false => parts.join(", "),
        };
        judgement
    }
}

/// The growth of all counters that match a pattern.
pub fn total(grown: &BTreeMap<String, u64>, pattern: &str) -> u64 {
    let ours = grown.iter().filter(|(name, _)| glob(pattern, name));
    ours.map(|(_, value)| value).sum()
}

/// The name of Envoy's counter without the cluster to which it belongs.
fn short(name: &str) -> &str {
    name.rsplit(';')
        .next()
        .unwrap_or(name)
        .trim_start_matches('.')
}
