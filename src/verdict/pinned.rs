//! `pinned` (calls of one connection) and `sticky-by` (calls with one metadata value) stay on one pod.
//!
//! A second pod refutes at once. Agreement is accepted when independent uniform draws over the N candidate pods would agree
//! so long only with probability beta: each call beyond the first of its group agrees by chance with 1/N. `pinned: false` is the same test with both answers exchanged, at alpha.

use std::collections::BTreeMap;

use testbed::control::Observation;

use super::{
    seen::{self, Pods},
    sequential::{Decision, Judgement, Sequential},
    stats::{Rates, agreement_repeats},
    tally::Tally,
};

/// Groups of calls, and whether each stays on one pod.
struct Agreement {
    pods: Pods,
    rate: f64,
    first: BTreeMap<String, String>,
    answered: Tally,
    repeats: u64,
    /// Candidates; unknown until the first answer names a pod.
    candidates: Option<u64>,
    disagreed: Option<String>,
}

impl Agreement {
    fn new(pods: &Pods, rate: f64) -> Self {
        Self {
            pods: pods.clone(),
            rate,
            first: BTreeMap::new(),
            answered: Tally::default(),
            repeats: 0,
            candidates: None,
            disagreed: None,
        }
    }

    fn feed(&mut self, group: &str, pod: &str) {
        self.answered.add(pod);
        if self.candidates.is_none() {
            self.candidates = seen::peers(&self.pods, pod).map(|set| set.len() as u64);
        }
        match self.first.get(group) {
            None => {
                self.first.insert(group.to_owned(), pod.to_owned());
            }
            Some(first) if first == pod => self.repeats += 1,
            Some(first) => {
                self.disagreed
                    .get_or_insert_with(|| format!("{group} was answered by {first} and {pod}"));
            }
        }
    }

    /// Repeats that rule chance out; `None` with fewer than two candidates.
    fn needed(&self) -> Option<u64> {
        let candidates = self.candidates.filter(|n| *n > 1)?;
        Some(agreement_repeats(candidates, self.rate))
    }

    fn agreed(&self) -> bool {
        self.needed().is_some_and(|needed| self.repeats >= needed)
    }

    fn describe(&self) -> String {
        if let Some(words) = &self.disagreed {
            return format!("{words} ({})", self.answered);
        }
        match (self.candidates, self.needed()) {
            (None, _) => "no pod that we know answered".to_owned(),
            (Some(1), _) => "there is one pod only, so that staying on it says nothing".to_owned(),
            (_, Some(needed)) if self.repeats < needed => format!(
                "{}; chance is ruled out after {needed} repeats, {} were seen",
                self.answered, self.repeats
            ),
            _ => format!("{}", self.answered),
        }
    }

    fn method(&self, letter: &str) -> String {
        let size = self.candidates.unwrap_or(0);
        let needed = self.needed().unwrap_or(0);
        format!(
            "agreement over {size} candidate pods, {needed} repeats, {letter} {:e}",
            self.rate
        )
    }
}

/// `pinned`: a group is a connection.
pub struct Pinned {
    wanted: bool,
    agreement: Agreement,
    decision: Decision,
}

impl Pinned {
    pub fn new(wanted: bool, pods: &Pods, rates: Rates) -> Self {
        let rate = if wanted { rates.beta } else { rates.alpha };
        Self {
            wanted,
            agreement: Agreement::new(pods, rate),
            decision: Decision::Continue,
        }
    }
}

impl Sequential for Pinned {
    fn feed(&mut self, call: &Observation) -> Decision {
        let (Decision::Continue, Some(pod)) = (self.decision, seen::pod(call)) else {
            return self.decision;
        };
        let group = format!("connection {}", call.connection);
        self.agreement.feed(&group, pod);
        self.decision = decide(&self.agreement, self.wanted);
        self.decision
    }

    fn cap(&self) -> Option<u64> {
        largest_need(&self.agreement)
    }

    fn conclude(&self) -> Judgement {
        let letter = if self.wanted { "beta" } else { "alpha" };
        Judgement::of(
            self.decision,
            self.agreement.describe(),
            self.agreement.answered.total(),
            self.agreement.method(letter),
        )
    }
}

/// `sticky-by`: one run sends one value, over however many connections.
pub struct Sticky {
    agreement: Agreement,
    decision: Decision,
}

impl Sticky {
    pub fn new(pods: &Pods, rates: Rates) -> Self {
        Self {
            agreement: Agreement::new(pods, rates.beta),
            decision: Decision::Continue,
        }
    }
}

impl Sequential for Sticky {
    fn feed(&mut self, call: &Observation) -> Decision {
        let (Decision::Continue, Some(pod)) = (self.decision, seen::pod(call)) else {
            return self.decision;
        };
        self.agreement.feed("the value", pod);
        self.decision = decide(&self.agreement, true);
        self.decision
    }

    fn cap(&self) -> Option<u64> {
        largest_need(&self.agreement)
    }

    fn conclude(&self) -> Judgement {
        Judgement::of(
            self.decision,
            self.agreement.describe(),
            self.agreement.answered.total(),
            self.agreement.method("beta"),
        )
    }
}

fn decide(agreement: &Agreement, wanted: bool) -> Decision {
    let disagreed = agreement.disagreed.is_some();
    match (disagreed, agreement.agreed()) {
        (true, _) if wanted => Decision::Refuted,
        (true, _) => Decision::Holds,
        (false, true) if wanted => Decision::Holds,
        (false, true) => Decision::Refuted,
        (false, false) => Decision::Continue,
    }
}

/// The fewest candidates need the most calls: two pods, on one connection.
fn largest_need(agreement: &Agreement) -> Option<u64> {
    let sizes = agreement.pods.values().map(|set| set.len() as u64);
    let smallest = sizes.filter(|size| *size > 1).min()?;
    Some(1 + agreement_repeats(smallest, agreement.rate))
}
