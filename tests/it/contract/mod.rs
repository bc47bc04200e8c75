//! One contract for all implementations of the control protocol: the test bed's own caller and
//! server (Rust), those of `tools/interop` (Go) and `fixtures/python/caller.py`. Each is started
//! as in a pod and driven over its control port; every message in either direction is validated
//! against `fixtures/testbed/control.schema.json`.
//!
//! The programs that are not Rust come from the tool chain (`meshproof toolchain prepare`).
//! Without it their cases print SKIPPED and the reason; with `MESHPROOF_ALL_IMPLEMENTATIONS` set,
//! as in `scripts/test`, they fail.

mod calls;
mod control;
mod implementation;
mod lease;
mod message;
mod offers;
mod port;
mod schema;
mod servers;
