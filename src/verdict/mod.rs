//! Pure: expectation × observation → check → verdict.

pub mod outcome;
