//! One contract for all that speak the control protocol: the test bed's own caller and server
//! (Rust), those of `tools/interop` (Go) and `fixtures/python/caller.py`. Each is started as it is
//! in a pod and driven over its control port; every message either way is held to
//! `fixtures/testbed/control.schema.json`.
//!
//! The programs that are not Rust come from the tool chain (`meshproof toolchain prepare`). Without
//! it their cases say SKIPPED and why; with `MESHPROOF_ALL_IMPLEMENTATIONS` set, as `scripts/test`
//! does, they fail.

mod calls;
mod control;
mod implementation;
mod lease;
mod message;
mod offers;
mod port;
mod schema;
mod servers;
