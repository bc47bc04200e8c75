//! The connections over which attempts reached the servers.

use std::collections::BTreeMap;

use testbed::control::Attempt;

use crate::{
    values::range::CountRange,
    verdict::judgement::{Judgement, decide},
};

/// The largest number of PING frames seen on each connection that carried an attempt.
pub fn connections(attempts: &[Attempt]) -> BTreeMap<(&str, u64), u64> {
    let mut all = BTreeMap::new();
    for attempt in attempts {
        let pings = all
            .entry((attempt.pod.as_str(), attempt.connection))
            .or_insert(0);
        *pings = attempt.pings.max(*pings);
    }
    all
}

/// Whether the number of connections or frames of these attempts is as expected.
pub fn total(attempts: &[Attempt], expected: CountRange, number: u64, what: &str) -> Judgement {
    Judgement {
        result: decide(attempts.is_empty(), expected.contains(number)),
        actual: format!("{number} {what} for {} attempts", attempts.len()),
        samples: attempts.len() as u64,
        method: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use crate::verdict::{
        outcome::CheckResult,
        testing::{result, streamed},
    };

    #[test]
    fn pings_of_a_connection_count_once() {
        let mut seen = streamed(1, 1, 1);
        seen.attempts.push(seen.attempts[0].clone());
        seen.attempts[0].pings = 2;
        seen.attempts[1].pings = 3;
        for claim in ["server-pings: '3'", "server-connections: '1'"] {
            assert_eq!(result(claim, &seen).0, CheckResult::Holds, "{claim}");
        }
    }
}
