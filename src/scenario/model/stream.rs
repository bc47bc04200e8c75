//! How a probe's streams run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use testbed::streaming::Close;

/// What the client does with its streams (`testbed::streaming::StreamPlan`).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Stream {
    /// Request messages, numbered and with a checksum each.
    pub messages: Option<u32>,
    /// Payload sizes in bytes, taken in turn.
    pub sizes: Vec<u32>,
    /// Pause between two request messages.
    pub gap: Option<String>,
    /// When the client ends its half: `after-last` message, or only `after-answer`.
    #[schemars(with = "CloseWord")]
    pub close: Close,
    /// Initial window of a stream in bytes: how much the peer may send unread.
    pub window: Option<u32>,
    /// Pause before each piece of the answer is read.
    pub read_gap: Option<String>,
    /// PING frames at this interval.
    pub ping: Option<String>,
}

/// For the schema only: the words of [`Close`].
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
#[expect(dead_code, reason = "the schema is all that is made of it")]
enum CloseWord {
    AfterLast,
    AfterAnswer,
}
