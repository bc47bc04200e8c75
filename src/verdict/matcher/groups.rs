//! Groups of calls that stay on one pod ([`statistics::Agreement`]): shared by `pinned` (calls of
//! one connection) and `sticky-by` (calls with one metadata value).

use statistics::{Agreement, Decision, repeats_needed};

use super::spec::Sample;
use crate::verdict::{
    judgement::Judgement,
    pods::{self, Pods},
    tally::Tally,
};

/// Groups of calls and pods, both numbered.
pub struct Groups {
    pods: Pods,
    pub test: Agreement,
    /// What a group is in messages: `connection`, or the calls of a group.
    word: &'static str,
    names: Vec<String>,
    answered: Tally,
}

impl Groups {
    /// Describes the test, for `explain`.
    pub fn method(sample: &Sample<'_>) -> String {
        let Sample { cap, rates, .. } = sample;
        format!("a second pod decides at once, agreement after at most {cap} calls, {rates}")
    }

    pub fn new(pods: &Pods, rate: f64, word: &'static str) -> Self {
        Self {
            pods: pods.clone(),
            test: Agreement::new(rate),
            word,
            names: Vec::new(),
            answered: Tally::default(),
        }
    }

    pub fn feed(&mut self, group: u32, pod: &str) {
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
                "connection" => format!("calls of connection {group}"),
                word => word.to_owned(),
            };
            let (first, second) = (&self.names[first], &self.names[second]);
            return format!(
                "{group} were answered by {first} and {second} ({})",
                self.answered
            );
        }
        let repeats = self.test.repeats();
        match (self.test.candidates(), self.test.needed()) {
            (None, _) => "no known pod answered".to_owned(),
            (Some(1), _) => "there is only one pod, so staying on it proves nothing".to_owned(),
            (_, Some(needed)) if repeats < needed => format!(
                "{}; chance is ruled out after {needed} repeats, {repeats} were seen",
                self.answered
            ),
            _ => format!("{}", self.answered),
        }
    }

    pub fn judgement(&self, decision: Decision, letter: &str) -> Judgement {
        let method = format!(
            "agreement over {} candidate pods, {} repeats, {letter} {:e}",
            self.test.candidates().unwrap_or(0),
            self.test.needed().unwrap_or(0),
            self.test.rate()
        );
        Judgement::of(decision, self.describe(), self.answered.total(), method)
    }

    /// The largest number of calls that may be needed: that of the smallest set of at least two
    /// pods, on one connection.
    pub fn largest_need(&self) -> Option<u64> {
        let sizes = self.pods.values().map(|set| set.len() as u64);
        let smallest = sizes.filter(|size| *size > 1).min()?;
        Some(1 + repeats_needed(smallest, self.test.rate()))
    }
}
