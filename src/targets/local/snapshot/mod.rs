//! Snapshots: the contents of etcd as an installation leaves them, kept in the user's cache, so
//! that the next local target with the same inputs starts from them.
//!
//! A snapshot is taken when every object is installed and no pod has run yet (`world/record.rs`).
//! It contains no keys: certificates, Secrets and tokens are created anew by each world.

pub mod archive;
pub mod cache;
pub mod key;
