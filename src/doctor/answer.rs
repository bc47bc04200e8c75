//! The result of querying a program or a server.

use std::time::Duration;

/// An error querying a program or a server. Most only give a text, which the check shows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    #[error("no answer within {0:?}")]
    Silent(Duration),
    /// It could not be queried; the text of the system's error.
    #[error("{0}")]
    Unasked(String),
    /// It failed or rejected the query; its own text.
    #[error("{0}")]
    Refused(String),
    /// Its answer has an unknown format.
    #[error("cannot parse the output of `{question}`: {why}")]
    Unreadable { question: &'static str, why: String },
}
