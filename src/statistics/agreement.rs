//! Agreement: all answers of a group (a connection, a value of a key) come from the same pod.
//!
//! A second pod refutes it at once. Agreement is accepted once independent uniform draws from the N
//! candidate pods would agree this long with probability at most `rate`: each answer after the
//! first of its group agrees by chance with probability 1/N.

use std::collections::BTreeMap;

use crate::Decision;

/// Groups of answers, and whether each group stays on one pod.
#[derive(Debug, Clone)]
pub struct Agreement {
    rate: f64,
    /// The number of pods that could have answered; unknown until the first answer names a pod.
    candidates: Option<u64>,
    first: BTreeMap<u32, usize>,
    repeats: u64,
    disagreed: Option<(u32, usize, usize)>,
}

impl Agreement {
    pub fn new(rate: f64) -> Self {
        Self {
            rate,
            candidates: None,
            first: BTreeMap::new(),
            repeats: 0,
            disagreed: None,
        }
    }

    /// Sets the number of pods that could have answered. Only the first call has an effect.
    pub fn among(&mut self, candidates: u64) {
        self.candidates.get_or_insert(candidates);
    }

    /// Adds an answer of `pod` in `group`. Holds once chance is ruled out; refuted by a second pod.
    pub fn feed(&mut self, group: u32, pod: usize) -> Decision {
        match self.first.get(&group) {
            None => {
                self.first.insert(group, pod);
            }
            Some(first) if *first == pod => self.repeats += 1,
            Some(first) => {
                self.disagreed.get_or_insert((group, *first, pod));
            }
        }
        self.decision()
    }

    pub fn decision(&self) -> Decision {
        if self.disagreed.is_some() {
            Decision::Refuted
        } else if self.needed().is_some_and(|needed| self.repeats >= needed) {
            Decision::Holds
        } else {
            Decision::Continue
        }
    }

    /// The number of repeats that rules out chance; `None` with fewer than two candidates.
    pub fn needed(&self) -> Option<u64> {
        let candidates = self.candidates.filter(|n| *n > 1)?;
        Some(repeats_needed(candidates, self.rate))
    }

    pub fn candidates(&self) -> Option<u64> {
        self.candidates
    }

    /// The number of answers that agreed with an earlier one of their group.
    pub fn repeats(&self) -> u64 {
        self.repeats
    }

    /// The group that disagreed first, and its two pods.
    pub fn disagreed(&self) -> Option<(u32, usize, usize)> {
        self.disagreed
    }

    pub fn rate(&self) -> f64 {
        self.rate
    }
}

/// The number of answers, after the first of each group, that agree by chance with probability at
/// most `rate`: N^-n, so n = ln(1/rate) / ln N.
pub fn repeats_needed(candidates: u64, rate: f64) -> u64 {
    ((1.0 / rate).ln() / (candidates as f64).ln()).ceil() as u64
}
