//! The world: one process tree in new user, PID, network, mount, UTS and IPC namespaces.
//!
//! ```text
//! harness ── __world (holder; outside the PID namespace, removes the state directory at the end)
//!               └── __init (PID 1: when it ends, the kernel ends everything)
//!                     └── __inside (etcd, API server, controllers, kube-proxy, node)
//! ```
//!
//! A lifeline (a pipe) runs from the harness to holder and init: however the harness dies, both
//! read end-of-file and exit. A kept world (`target up`) holds its own lifeline and ends with
//! `target down`.

pub mod api;
pub mod attempt;
pub mod daemons;
pub mod error;
pub mod first_pods;
pub mod holder;
pub mod idmap;
pub mod init;
pub mod inside;
pub mod launch;
pub mod network;
pub mod pki;
mod record;
pub mod relay;
pub mod spec;
mod state;
mod store;

pub use state::root_directory;
