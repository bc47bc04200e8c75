//! `stream`: numbered messages in both directions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statistics::Rates;
use testbed::control::{Attempt, Observation};

use super::spec::{Exact, ExpectError, Form, Spec};
use crate::{
    values::range::{CountRange, ValueError},
    verdict::{
        calls::Calls,
        judgement::{Judgement, each},
    },
};

/// Every message in both directions arrived once, in order and undamaged, in the expected number.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Intact")]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Written {
    /// The number of request messages that the server received: `20`, a range `1..20`, or `all`.
    pub requests: Option<String>,
    /// The number of response messages that the client received, in the same form.
    pub replies: Option<String>,
}

/// The number of messages that is expected in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Number(CountRange),
    /// As many as were sent (requests), or as many as the server received (replies of a method that
    /// echoes).
    All,
}

impl Wanted {
    /// Parses `all`, `20` or `1..20`.
    ///
    /// # Errors
    /// Anything else.
    fn parse(text: &str) -> Result<Self, ValueError> {
        match text {
            "all" => Ok(Self::All),
            number => CountRange::parse(number).map(Self::Number),
        }
    }

    fn contains(self, count: u64, all: u64) -> bool {
        match self {
            Self::Number(counts) => counts.contains(count),
            Self::All => count == all,
        }
    }

    fn describe(self) -> String {
        match self {
            Self::Number(counts) => counts.to_string(),
            Self::All => "all".to_owned(),
        }
    }
}

/// The expected number in each direction; `None`: any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    requests: Option<Wanted>,
    replies: Option<Wanted>,
}

impl Spec for Stream {
    const NAME: &'static str = "stream";
    const DOC: &'static str = "Messages in both directions: each arrives once, in order and undamaged, and in this number.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`stream: {requests, replies}`",
        "the numbered messages of both directions each arrived once, in order and undamaged, and in this number: exact (`5`), a range (`5..`), or `all` (requests: as many as were sent; replies: as many as the server received)",
    )];
    type Written = Written;

    fn read(written: &Written) -> Result<Self, ExpectError> {
        let counts = |text: &Option<String>| {
            let counts = text.as_deref().map(Wanted::parse).transpose();
            counts.map_err(ExpectError::value(Self::NAME))
        };
        Ok(Self {
            requests: counts(&written.requests)?,
            replies: counts(&written.replies)?,
        })
    }

    fn expected(&self) -> String {
        let Self { requests, replies } = *self;
        let part = |required: Option<Wanted>, what: &str| {
            required.map(|required| format!("{} {what}", required.describe()))
        };
        let parts = [part(requests, "requests"), part(replies, "replies")];
        let counted: Vec<String> = parts.into_iter().flatten().collect();
        let mut message = "each message once, in order, undamaged".to_owned();
        if !counted.is_empty() {
            message = format!("{}, {message}", counted.join(" and "));
        }
        message
    }
}

impl Exact for Stream {
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        let kept = calls.kept();
        let look = |call: &&Observation| {
            intact(call, calls.attempts_of(call), self.requests, self.replies)
        };
        each(kept.iter().map(look))
    }
}

/// Whether one call's messages are as expected, and what was observed.
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
    // Only the last attempt can have a complete response.
    let received = attempts
        .last()
        .map_or(0, |attempt| u64::from(attempt.received));
    let got = call.messages.len() as u64;
    let sent = u64::from(call.uploaded);
    let good = requests.is_none_or(|expected| expected.contains(received, sent))
        && replies.is_none_or(|expected| expected.contains(got, received));
    (
        good,
        format!("{received} of {sent} requests, {got} replies"),
    )
}

#[cfg(test)]
mod tests {
    use crate::verdict::{
        outcome::CheckResult,
        testing::{result, streamed},
    };

    fn expected(requests: &str, replies: &str) -> String {
        format!("stream: {{requests: '{requests}', replies: '{replies}'}}")
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
        let seen = streamed(received, sent, got);
        let result = result(&expected(requests, replies), &seen).0;
        assert_eq!(result == CheckResult::Holds, holds);
    }

    #[test]
    fn damage_on_either_side_refutes() {
        let mut seen = streamed(5, 5, 5);
        seen.calls[0].damage = Some("message 1 arrived as number 2".into());
        assert_eq!(result(&expected("5", "5"), &seen).0, CheckResult::Refuted);
        let mut seen = streamed(5, 5, 5);
        seen.attempts[0].damage = Some("message 3 arrived as number 2".into());
        assert_eq!(result(&expected("5", "5"), &seen).0, CheckResult::Refuted);
    }
}
