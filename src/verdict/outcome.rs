//! The six verdicts and what they are made of.

use serde::{Deserialize, Serialize};

use crate::errors::ErrorClass;

/// Check that client and server ledgers agree; no field of `Expect`, always judged.
pub const LEDGER: &str = "ledger";
/// Check that no call ran into the caller's own limit; only there when one did.
pub const PATIENCE: &str = "patience";

/// What is said of one scenario. ERROR (could not tell) is never FAIL (the mesh violates the
/// claim).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING-KEBAB-CASE")]
pub enum Verdict {
    Pass,
    Fail,
    Error,
    Skip,
    KnownFailure,
    UnexpectedPass,
}

/// One checked claim: a matcher on one probe (or one case of its table).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// `<probe>` or `<probe>[<case>]`.
    pub probe: String,
    /// Name of the `Expect` field.
    pub matcher: String,
    pub expected: String,
    /// What was seen, in the same terms.
    pub actual: String,
    pub result: CheckResult,
    /// True in a contrast: `Refuted` is then the good result.
    pub contrast: bool,
    /// Calls the decision rests on.
    pub samples: u64,
    /// The statistics behind it, in words (test, n, alpha, beta); empty for exact checks.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// Declared rate of false alarms of a statistical check; absent for exact ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// Whose trouble it is that nothing can be said, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<ErrorClass>,
}

impl Check {
    /// It is about our own observations, and no field of `expect:`.
    pub fn is_ours(&self) -> bool {
        self.matcher == LEDGER || self.matcher == PATIENCE
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckResult {
    Holds,
    Refuted,
    /// The observations can't decide: not enough samples, or our own side failed.
    Undecided,
}
