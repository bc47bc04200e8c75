//! A failure that is expected.

/// An expected failure of one scenario on the mesh that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub reason: String,
    pub link: String,
    /// Cells that are expected to fail; empty: the scenario as a whole.
    pub cases: Vec<String>,
}
