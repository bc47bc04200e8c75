//! Exact matchers on streams: messages of both directions, how a stream was cut, and the connections behind it.

use std::collections::BTreeMap;

use testbed::control::{Attempt, Observation};

use crate::{
    scenario::range::{Counts, ValueError},
    verdict::{
        calls::Calls,
        judgement::{Judgement, exact},
        outcome::CheckResult,
        tally::Tally,
    },
};

/// How many messages are wanted in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Number(Counts),
    /// As many as were sent (requests), or as the server received (replies of a method that echoes).
    All,
}

impl Wanted {
    /// Reads `all`, `20` or `1..20`.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        match text {
            "all" => Ok(Self::All),
            number => Counts::parse(number).map(Self::Number),
        }
    }

    fn contains(self, count: u64, all: u64) -> bool {
        match self {
            Self::Number(counts) => counts.contains(count),
            Self::All => count == all,
        }
    }

    fn words(self) -> String {
        match self {
            Self::Number(counts) => counts.to_string(),
            Self::All => "all".to_owned(),
        }
    }
}

/// The expectation in words.
pub fn words(requests: Option<Wanted>, replies: Option<Wanted>) -> String {
    let part = |wanted: Option<Wanted>, what: &str| {
        wanted.map(|wanted| format!("{} {what}", wanted.words()))
    };
    let parts = [part(requests, "requests"), part(replies, "replies")];
    let counted: Vec<String> = parts.into_iter().flatten().collect();
    let mut words = "each message once, in order, undamaged".to_owned();
    if !counted.is_empty() {
        words = format!("{}, {words}", counted.join(" and "));
    }
    words
}

/// `stream`: the messages of both directions of each call.
pub fn stream(requests: Option<Wanted>, replies: Option<Wanted>, calls: &Calls<'_>) -> Judgement {
    let kept = calls.kept();
    let look = |call: &&Observation| intact(call, calls.attempts_of(call), requests, replies);
    verdicts(kept.iter().map(look))
}

/// `reset`: the code of the RST_STREAM that each call's client got.
pub fn reset(code: Option<&str>, calls: &Calls<'_>) -> Judgement {
    let kept = calls.kept();
    verdicts(kept.iter().map(|call| {
        let seen = call.reset.as_ref().filter(|reset| reset.remote);
        let seen = seen.map(|reset| reset.code.as_str());
        let words = seen.map_or_else(
            || "no RST_STREAM".to_owned(),
            |code| format!("RST_STREAM {code}"),
        );
        (seen == code, words)
    }))
}

/// `server-end`: how each attempt ended at its server.
pub fn server_end(end: &str, calls: &Calls<'_>) -> Judgement {
    let attempts = calls.seen.attempts.iter();
    verdicts(attempts.map(|attempt| (attempt.end == end, attempt.end.clone())))
}

/// `server-pings`: PING frames on all connections together.
pub fn server_pings(counts: Counts, calls: &Calls<'_>) -> Judgement {
    let attempts = calls.seen.attempts.as_slice();
    let pings = connections(attempts).into_values().sum();
    total(attempts, counts, pings, "PING frames")
}

/// `server-connections`: how many there were.
pub fn server_connections(counts: Counts, calls: &Calls<'_>) -> Judgement {
    let attempts = calls.seen.attempts.as_slice();
    let number = connections(attempts).len() as u64;
    total(attempts, counts, number, "connections")
}

/// Whether one call's messages are as wanted, and what was seen of them.
fn intact(
    call: &Observation,
    attempts: &[&Attempt],
    requests: Option<Wanted>,
    replies: Option<Wanted>,
) -> (bool, String) {
    let damage = attempts.iter().find_map(|attempt| attempt.damage.as_ref());
    if let Some(damage) = damage {
        return (false, format!("at the server, {damage}"));
    }
    if let Some(damage) = &call.damage {
        return (false, format!("at the client, {damage}"));
    }
    // Only the last attempt can have been answered to the end.
    let received = attempts
        .last()
        .map_or(0, |attempt| u64::from(attempt.received));
    let got = call.messages.len() as u64;
    let sent = u64::from(call.uploaded);
    let good = requests.is_none_or(|wanted| wanted.contains(received, sent))
        && replies.is_none_or(|wanted| wanted.contains(got, received));
    (
        good,
        format!("{received} of {sent} requests, {got} replies"),
    )
}

/// Largest number of pings of each connection that brought an attempt.
fn connections(attempts: &[Attempt]) -> BTreeMap<(&str, u64), u64> {
    let mut all = BTreeMap::new();
    for attempt in attempts {
        let pings = all
            .entry((attempt.pod.as_str(), attempt.connection))
            .or_insert(0);
        *pings = attempt.pings.max(*pings);
    }
    all
}

fn total(attempts: &[Attempt], wanted: Counts, number: u64, what: &str) -> Judgement {
    let result = match (attempts, wanted.contains(number)) {
        ([], _) => CheckResult::Undecided,
        (_, true) => CheckResult::Holds,
        (_, false) => CheckResult::Refuted,
    };
    Judgement {
        result,
        actual: format!("{number} {what} behind {} attempts", attempts.len()),
        samples: attempts.len() as u64,
        method: String::new(),
    }
}

fn verdicts(each: impl Iterator<Item = (bool, String)>) -> Judgement {
    let (good, words): (Vec<bool>, Vec<String>) = each.unzip();
    let result = match good.as_slice() {
        [] => CheckResult::Undecided,
        all if all.iter().all(|good| *good) => CheckResult::Holds,
        _ => CheckResult::Refuted,
    };
    exact(result, words.into_iter().collect::<Tally>())
}

#[cfg(test)]
mod tests {
    use testbed::control::Reset;

    use super::*;
    use crate::verdict::{
        Rates, ResolvedExpect,
        expect::Matcher,
        judge,
        seen::Seen,
        testing::{answered, attempt},
    };

    fn judged(matcher: &Matcher, call: Observation, attempts: Vec<Attempt>) -> CheckResult {
        let seen = Seen {
            calls: vec![call],
            attempts,
            ..Seen::default()
        };
        let matchers = vec![matcher.clone()];
        let checks = judge("p", &ResolvedExpect { matchers }, &seen, Rates::default());
        checks[0].result
    }

    fn stream(received: u32, sent: u32, replies: usize) -> (Observation, Vec<Attempt>) {
        let mut call = answered(0, "greeter-a", "greeter");
        call.uploaded = sent;
        call.messages = vec![(0, 5); replies];
        let mut one = attempt(0, "greeter-a");
        one.received = received;
        (call, vec![one])
    }

    fn wanted(requests: &str, replies: &str) -> Matcher {
        Matcher::Stream {
            requests: Some(Wanted::parse(requests).unwrap()),
            replies: Some(Wanted::parse(replies).unwrap()),
        }
    }

    #[rstest::rstest]
    #[case::as_numbered("5", "5", 5, 5, 5, true)]
    #[case::everything("all", "all", 7, 7, 7, true)]
    #[case::a_request_is_missing("all", "all", 6, 7, 6, false)]
    #[case::a_reply_is_missing("all", "all", 7, 7, 6, false)]
    #[case::too_many("5", "5", 6, 6, 6, false)]
    #[case::open_range("5..", "1..", 6, 6, 6, true)]
    fn messages_are_counted_on_both_sides(
        #[case] requests: &str,
        #[case] replies: &str,
        #[case] received: u32,
        #[case] sent: u32,
        #[case] got: usize,
        #[case] holds: bool,
    ) {
        let (call, attempts) = stream(received, sent, got);
        let result = judged(&wanted(requests, replies), call, attempts);
        assert_eq!(result == CheckResult::Holds, holds);
    }

    #[test]
    fn damage_on_either_side_refutes() {
        let (mut call, attempts) = stream(5, 5, 5);
        call.damage = Some("message 1 came as number 2".into());
        assert_eq!(
            judged(&wanted("5", "5"), call, attempts),
            CheckResult::Refuted
        );
        let (call, mut attempts) = stream(5, 5, 5);
        attempts[0].damage = Some("message 3 came as number 2".into());
        assert_eq!(
            judged(&wanted("5", "5"), call, attempts),
            CheckResult::Refuted
        );
    }

    #[rstest::rstest]
    #[case(None, None, true)]
    #[case(Some("CANCEL"), Some("CANCEL"), true)]
    #[case(Some("CANCEL"), Some("NO_ERROR"), false)]
    #[case(None, Some("CANCEL"), false)]
    fn a_reset_is_known_by_its_code(
        #[case] want: Option<&str>,
        #[case] seen: Option<&str>,
        #[case] holds: bool,
    ) {
        let (mut call, attempts) = stream(1, 1, 1);
        call.reset = seen.map(|code| Reset {
            code: code.to_owned(),
            remote: true,
        });
        let matcher = Matcher::Reset(want.map(str::to_owned));
        assert_eq!(
            judged(&matcher, call, attempts) == CheckResult::Holds,
            holds
        );
    }

    #[test]
    fn pings_of_a_connection_count_once() {
        let (call, mut attempts) = stream(1, 1, 1);
        attempts.push(attempts[0].clone());
        attempts[0].pings = 2;
        attempts[1].pings = 3;
        let counts = |text| Counts::parse(text).unwrap();
        let pings = Matcher::ServerPings(counts("3"));
        assert_eq!(
            judged(&pings, call.clone(), attempts.clone()),
            CheckResult::Holds
        );
        let connections = Matcher::ServerConnections(counts("1"));
        assert_eq!(judged(&connections, call, attempts), CheckResult::Holds);
    }
}
