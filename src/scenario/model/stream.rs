//! Behaviour of a probe's streams.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use testbed::streaming::Close;

/// Behaviour of the client's streams (`testbed::streaming::StreamPlan`).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Stream {
    /// Number of request messages; each is numbered and has a checksum.
    pub messages: Option<u32>,
    /// Payload sizes in bytes, used in turn.
    pub sizes: Vec<u32>,
    /// Pause between two request messages.
    pub gap: Option<String>,
    /// When the client half-closes: `after-last` message, or only `after-answer`.
    #[schemars(with = "CloseWord")]
    pub close: Close,
    /// Initial flow-control window of a stream in bytes: how much the peer may send unread.
    pub window: Option<u32>,
    /// Pause before each read of the response.
    pub read_gap: Option<String>,
    /// Interval of PING frames.
    pub ping: Option<String>,
}

/// For the schema only: the values of [`Close`].
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its schema is used")]
enum CloseWord {
    AfterLast,
    AfterAnswer,
}
