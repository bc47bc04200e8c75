//! Answers in the order of their calls' numbers, not in the order of their arrival.
//!
//! With several calls in flight, the faster answers arrive first. A sequential test that counts
//! answers as they arrive sees a sample that is biased by speed, and may end on it: a canary that
//! is slower than the stable version looks as if it got too few calls. The numbers are assigned
//! before anything is observed, so a test that reads answers by number, and waits at a gap, keeps
//! its rates whatever the response times are.

use std::collections::VecDeque;

/// Holds answers back until all answers with smaller numbers have arrived.
#[derive(Debug, Clone)]
pub struct InOrder<T> {
    /// The number of the answer at the front.
    next: u64,
    early: VecDeque<Option<T>>,
}

impl<T> Default for InOrder<T> {
    fn default() -> Self {
        Self {
            next: 0,
            early: VecDeque::new(),
        }
    }
}

impl<T> InOrder<T> {
    /// Adds answer `number` (from 0, each once). Returns the answers that can be read now, in
    /// order.
    pub fn push(&mut self, number: u64, answer: T) -> impl Iterator<Item = T> + '_ {
        if let Some(at) = number.checked_sub(self.next) {
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            while self.early.len() <= at {
                self.early.push_back(None);
            }
            self.early[at] = Some(answer);
        }
        std::iter::from_fn(|| {
            let answer = self.early.front_mut()?.take()?;
            self.early.pop_front();
            self.next += 1;
            Some(answer)
        })
    }

    /// The number of answers that wait for an earlier one.
    pub fn waiting(&self) -> usize {
        self.early.iter().flatten().count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_wait_for_earlier_ones() {
        let mut order = InOrder::default();
        let mut push = |number: u64| order.push(number, number).collect::<Vec<_>>();
        assert_eq!(push(1), []);
        assert_eq!(push(2), []);
        assert_eq!(push(0), [0, 1, 2]);
        assert_eq!(push(4), []);
        assert_eq!(push(3), [3, 4]);
        assert_eq!(order.waiting(), 0);
    }

    #[test]
    fn nothing_behind_a_gap_is_read() {
        let mut order = InOrder::default();
        assert_eq!(order.push(0, 'a').count(), 1);
        assert_eq!(order.push(2, 'c').count(), 0);
        assert_eq!(order.waiting(), 1);
    }
}
