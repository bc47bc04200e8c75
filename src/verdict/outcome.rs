//! The six verdicts, and the checks that they are derived from.

use serde::{Deserialize, Serialize};

use crate::errors::ErrorClass;

/// The check that client and server ledgers agree. It is always judged and is no field of `Expect`.
pub const LEDGER: &str = "ledger";
/// The check that no call reached the caller's own time limit. It exists only if one did.
pub const CALL_TIMEOUT: &str = "call-timeout";

/// The outcome of one scenario. ERROR (the claim could not be judged) is never FAIL (the mesh
/// violates the claim).
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
    /// The name of the `Expect` field.
    pub matcher: String,
    pub expected: String,
    /// What was observed, in the same form as `expected`.
    pub actual: String,
    pub result: CheckResult,
    /// True in a contrast, where `Refuted` is the expected result.
    pub contrast: bool,
    /// The number of calls on which the decision is based.
    pub samples: u64,
    /// A description of the statistical test (test, n, alpha, beta); empty for exact checks.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// The declared type I error rate of a statistical check; absent for exact checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// What is responsible for an undecided check, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<ErrorClass>,
}

impl Check {
    /// Whether it is about the observations themselves and not a field of `expect:`.
    pub fn is_ours(&self) -> bool {
        self.matcher == LEDGER || self.matcher == CALL_TIMEOUT
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckResult {
    Holds,
    Refuted,
    /// The observations do not allow a decision: too few samples, or a failure outside the mesh.
    Undecided,
}
