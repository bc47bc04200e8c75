//! `pinned` (calls of one connection) and `sticky-by` (calls with one metadata value) stay on one pod
//! ([`statistics::Agreement`]). `pinned: false` is the same test with both answers exchanged, at alpha.

use statistics::{Agreement, Decision, Rates, repeats_needed};
use testbed::control::Observation;

use crate::verdict::{
    answer,
    judgement::{Judgement, Sequential},
    pods::{self, Pods},
    tally::Tally,
};

/// Groups of calls under their numbers, pods under theirs.
struct Groups {
    pods: Pods,
    test: Agreement,
    /// What a group is called, `connection` or `the value`.
    word: &'static str,
    names: Vec<String>,
    answered: Tally,
}

impl Groups {
    fn new(pods: &Pods, rate: f64, word: &'static str) -> Self {
        Self {
            pods: pods.clone(),
            test: Agreement::new(rate),
            word,
            names: Vec::new(),
            answered: Tally::default(),
        }
    }

    fn feed(&mut self, group: u32, pod: &str) {
        self.answered.add(pod);
        if let Some(peers) = pods::peers(&self.pods, pod) {
            self.test.among(peers.len() as u64);
        }
        let known = self.names.iter().position(|known| known == pod);
        let number = known.unwrap_or_else(|| {
            self.names.push(pod.to_owned());
            self.names.len() - 1
        });
        self.test.feed(group, number);
    }

    fn describe(&self) -> String {
        if let Some((group, first, second)) = self.test.disagreed() {
            let group = match self.word {
                "connection" => format!("connection {group}"),
                word => word.to_owned(),
            };
            let (first, second) = (&self.names[first], &self.names[second]);
            return format!(
                "{group} was answered by {first} and {second} ({})",
                self.answered
            );
        }
        let repeats = self.test.repeats();
        match (self.test.candidates(), self.test.needed()) {
            (None, _) => "no pod that we know answered".to_owned(),
            (Some(1), _) => "there is one pod only, so that staying on it says nothing".to_owned(),
            (_, Some(needed)) if repeats < needed => format!(
                "{}; chance is ruled out after {needed} repeats, {repeats} were seen",
                self.answered
            ),
            _ => format!("{}", self.answered),
        }
    }

    fn judgement(&self, decision: Decision, letter: &str) -> Judgement {
        let method = format!(
            "agreement over {} candidate pods, {} repeats, {letter} {:e}",
            self.test.candidates().unwrap_or(0),
            self.test.needed().unwrap_or(0),
            self.test.rate()
        );
        Judgement::of(decision, self.describe(), self.answered.total(), method)
    }

    /// The fewest candidates need the most calls: two pods, on one connection.
    fn largest_need(&self) -> Option<u64> {
        let sizes = self.pods.values().map(|set| set.len() as u64);
        let smallest = sizes.filter(|size| *size > 1).min()?;
        Some(1 + repeats_needed(smallest, self.test.rate()))
    }
}

/// `pinned`: a group is a connection.
pub struct Pinned {
    wanted: bool,
    groups: Groups,
}

impl Pinned {
    pub fn new(wanted: bool, pods: &Pods, rates: Rates) -> Self {
        let rate = if wanted { rates.beta } else { rates.alpha };
        Self {
            wanted,
            groups: Groups::new(pods, rate, "connection"),
        }
    }

    fn decision(&self) -> Decision {
        match (self.groups.test.decision(), self.wanted) {
            (decision, true) => decision,
            (Decision::Holds, false) => Decision::Refuted,
            (Decision::Refuted, false) => Decision::Holds,
            (Decision::Continue, false) => Decision::Continue,
        }
    }
}

impl Sequential for Pinned {
    fn feed(&mut self, call: &Observation) -> Decision {
        if let (Decision::Continue, Some(pod)) = (self.decision(), answer::pod(call)) {
            self.groups.feed(call.connection, pod);
        }
        self.decision()
    }

    fn cap(&self) -> Option<u64> {
        self.groups.largest_need()
    }

    fn conclude(&self) -> Judgement {
        let letter = if self.wanted { "beta" } else { "alpha" };
        self.groups.judgement(self.decision(), letter)
    }
}

/// `sticky-by`: one run sends one value, over however many connections.
pub struct Sticky {
    groups: Groups,
}

impl Sticky {
    pub fn new(pods: &Pods, rates: Rates) -> Self {
        Self {
            groups: Groups::new(pods, rates.beta, "the value"),
        }
    }
}

impl Sequential for Sticky {
    fn feed(&mut self, call: &Observation) -> Decision {
        if let (Decision::Continue, Some(pod)) = (self.groups.test.decision(), answer::pod(call)) {
            self.groups.feed(0, pod);
        }
        self.groups.test.decision()
    }

    fn cap(&self) -> Option<u64> {
        self.groups.largest_need()
    }

    fn conclude(&self) -> Judgement {
        self.groups.judgement(self.groups.test.decision(), "beta")
    }
}
