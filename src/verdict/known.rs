//! Known failures.

/// A known failure of one scenario on the mesh under test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub reason: String,
    pub link: String,
    /// Cases that are expected to fail. If empty, the scenario as a whole.
    pub cases: Vec<String>,
}
