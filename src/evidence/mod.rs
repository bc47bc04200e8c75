//! What a run leaves as proof: whole files or none, without secrets.

pub mod bundle;
pub mod dir;
pub mod redact;
pub mod sensitive;
