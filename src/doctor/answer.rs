//! What came of asking a program or a server about itself.

use std::time::Duration;

/// Why there is no answer. Who does not answer has only words for it, and they are what a check
/// shows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    #[error("no answer within {0:?}")]
    Silent(Duration),
    /// It could not be asked: why, as the system says it.
    #[error("{0}")]
    Unasked(String),
    /// It failed, or refused, in its own words.
    #[error("{0}")]
    Refused(String),
    /// What it said has another form than what is known.
    #[error("`{question}` says what this program cannot read: {why}")]
    Unreadable { question: &'static str, why: String },
}
