//! Redaction of events.

use std::borrow::Cow;

use super::Event;
use crate::evidence::redact::Redactor;

impl Event {
    /// Returns the event with secrets masked in all of its texts.
    #[must_use]
    pub fn redacted(&self, redactor: &Redactor) -> Self {
        let mut event = self.clone();
        event.rewrite(&|text| match redactor.text(text) {
            Cow::Owned(clean) => Some(clean),
            Cow::Borrowed(_) => None,
        });
        event
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::{
        event::EventKind,
        evidence::redact::tests::{SECRET, redactor},
    };

    #[test]
    fn events_lose_secrets_and_nothing_else() {
        let event = Event {
            at_ms: 7,
            kind: EventKind::Note {
                text: format!("authorization: Bearer {SECRET}"),
            },
        };
        let clean = event.redacted(&redactor());
        assert_eq!(
            clean,
            Event {
                at_ms: 7,
                kind: EventKind::Note {
                    text: "authorization: Bearer ***".into()
                }
            }
        );
    }

    #[test]
    fn a_secret_that_looks_like_a_field_does_not_break_the_log() {
        let redactor = Redactor::default();
        ["target-ready", "versions", "capabilities", "my-host"]
            .iter()
            .for_each(|secret| redactor.register(secret));
        let ready = |host: &str, versions: &str| EventKind::TargetReady {
            versions: [(host.to_owned(), versions.to_owned())].into(),
            capabilities: vec![],
            lacks: vec![],
        };
        let clean = Event {
            at_ms: 1,
            kind: ready("my-host", "versions 1"),
        }
        .redacted(&redactor);
        assert_eq!(clean.kind, ready("***", "*** 1"));
    }

    /// Tries every text of every event in the golden logs: any text of a log can contain a
    /// secret.
    #[test]
    fn no_text_of_any_event_keeps_a_secret() {
        let redactor = redactor();
        let mut tried = 0;
        for line in crate::report::golden::lines() {
            let event: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            for place in leaves(&event, "") {
                let mut with_secret = event.clone();
                let leaf = with_secret.pointer_mut(&place).expect("it is there");
                *leaf = format!("before {SECRET}").into();
                // A value of a closed set is not free text: with another value the event is
                // invalid.
                let Ok(read) = serde_json::from_value::<Event>(with_secret) else {
                    continue;
                };
                let clean = serde_json::to_string(&read.redacted(&redactor)).expect("plain data");
                assert!(!clean.contains(SECRET), "{place} of {line}");
                tried += 1;
            }
        }
        assert!(tried > 300, "only {tried} texts");
    }

    /// Pointers (RFC 6901) to all texts of a document.
    fn leaves(value: &serde_json::Value, at: &str) -> Vec<String> {
        match value {
            serde_json::Value::String(_) => vec![at.to_owned()],
            serde_json::Value::Array(items) => items
                .iter()
                .enumerate()
                .flat_map(|(index, item)| leaves(item, &format!("{at}/{index}")))
                .collect(),
            serde_json::Value::Object(map) => map
                .iter()
                .flat_map(|(key, item)| leaves(item, &format!("{at}/{key}")))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Values that the log's own format uses: as secrets they mask texts, but the event stays
    /// valid.
    #[rstest]
    #[case("provisional")]
    #[case("scenario-planned")]
    #[case("UNEXPECTED-PASS")]
    #[case("undecided")]
    fn a_secret_that_is_a_word_of_the_log_leaves_its_events_readable(#[case] word: &str) {
        let redactor = Redactor::default();
        redactor.register(word);
        for line in crate::report::golden::lines() {
            let event: Event = serde_json::from_str(&line).expect("an event");
            let clean = event.redacted(&redactor);
            let (mut was, mut is) = (event, clean);
            was.rewrite(&|_| Some(String::new()));
            is.rewrite(&|_| Some(String::new()));
            assert_eq!(is, was, "{line}");
        }
    }
}
