//! The evidence of a run, written atomically and without secrets.

pub mod bundle;
pub mod dir;
pub mod redact;
pub mod sensitive;
mod starts;
