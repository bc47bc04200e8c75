//! Tests of the order in which pods answer: `round-robin` ([`statistics::Turns`]) and `random`
//! ([`statistics::Independence`]).

use statistics::{Decision, Independence, Rates, Turns};
use testbed::control::Observation;

use crate::verdict::{
    answer,
    judgement::{Judgement, SequentialTest},
    pods::Pods,
    tally::Tally,
};

/// The pods that may answer, and the sequence of those that did.
struct Order {
    over: String,
    pods: Vec<String>,
    sequence: Vec<String>,
}

impl Order {
    fn new(over: &str, pods: &Pods) -> Self {
        Self {
            over: over.to_owned(),
            pods: pods.get(over).into_iter().flatten().cloned().collect(),
            sequence: Vec::new(),
        }
    }

    /// The number of the pod that answered, for a test that has not decided yet. All unknown pods
    /// have the next number.
    fn next(&mut self, so_far: Decision, call: &Observation) -> Option<usize> {
        let pod = answer::pod(call).filter(|_| so_far == Decision::Continue)?;
        self.sequence.push(pod.to_owned());
        let known = self.pods.iter().position(|known| known == pod);
        Some(known.unwrap_or(self.pods.len()))
    }

    fn samples(&self) -> u64 {
        self.sequence.len() as u64
    }

    /// The answers up to the first call out of turn, by the last parts of the pods' names.
    fn around(&self, broken_at: Option<usize>) -> String {
        let Some(at) = broken_at else {
            return format!("strict rotation over {} calls", self.sequence.len());
        };
        let from = at.saturating_sub(self.pods.len());
        let names: Vec<&str> = self.sequence[from..=at]
            .iter()
            .map(|pod| pod.rsplit('-').next().unwrap_or(pod))
            .collect();
        let tally: Tally = self.sequence.iter().cloned().collect();
        format!(
            "out of turn at call {}: … {} ({tally})",
            at + 1,
            names.join(" ")
        )
    }

    fn of_too_few_pods(&self) -> Judgement {
        let actual = format!(
            "{} pods of {} are known: the test needs at least 2",
            self.pods.len(),
            self.over
        );
        Judgement::of(Decision::Continue, actual, 0, String::new())
    }
}

/// The test of `round-robin`.
pub struct RoundRobin {
    order: Order,
    test: Option<Turns>,
    beta: f64,
}

impl RoundRobin {
    pub fn new(over: &str, pods: &Pods, rates: Rates) -> Self {
        let order = Order::new(over, pods);
        Self {
            test: Turns::new(order.pods.len(), rates),
            order,
            beta: rates.beta,
        }
    }
}

impl SequentialTest for RoundRobin {
    fn feed(&mut self, call: &Observation) -> Decision {
        let Some(test) = &mut self.test else {
            return Decision::Continue;
        };
        match self.order.next(test.decision(), call) {
            Some(pod) => test.feed(pod),
            None => test.decision(),
        }
    }

    fn cap(&self) -> Option<u64> {
        self.test.as_ref().map(Turns::size)
    }

    fn conclude(&self) -> Judgement {
        let Some(test) = &self.test else {
            return self.order.of_too_few_pods();
        };
        let mut actual = self.order.around(test.broken_at());
        if test.decision() == Decision::Continue {
            actual += &format!("; chance is ruled out after {} calls", test.size());
        }
        let method = format!(
            "sequence over {} pods, {} calls, beta {:e}",
            self.order.pods.len(),
            test.size(),
            self.beta
        );
        Judgement::of(test.decision(), actual, self.order.samples(), method)
    }
}

/// The test of `random`: no strict rotation, and no pod is starved.
pub struct RandomOrder {
    order: Order,
    test: Option<Independence>,
    alpha: f64,
}

impl RandomOrder {
    pub fn new(over: &str, pods: &Pods, rates: Rates) -> Self {
        let order = Order::new(over, pods);
        Self {
            test: Independence::new(order.pods.len(), rates),
            order,
            alpha: rates.alpha,
        }
    }
}

impl SequentialTest for RandomOrder {
    fn feed(&mut self, call: &Observation) -> Decision {
        let Some(test) = &mut self.test else {
            return Decision::Continue;
        };
        match self.order.next(test.decision(), call) {
            Some(pod) => test.feed(pod),
            None => test.decision(),
        }
    }

    fn cap(&self) -> Option<u64> {
        self.test.as_ref().map(Independence::cap)
    }

    fn conclude(&self) -> Judgement {
        let Some(test) = &self.test else {
            return self.order.of_too_few_pods();
        };
        let actual = match test.starved() {
            0 => self.order.around(test.broken_at()),
            starved => format!(
                "{starved} of {} pods answered none of {} calls",
                self.order.pods.len(),
                self.order.samples()
            ),
        };
        let method = format!(
            "sequence and coverage over {} pods, cap {} calls, alpha {:e}",
            self.order.pods.len(),
            test.cap(),
            self.alpha
        );
        Judgement::of(test.decision(), actual, self.order.samples(), method)
    }
}
