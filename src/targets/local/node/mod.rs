//! The node of the local target: accepts pods and runs their containers as processes in
//! namespaces.
//!
//! In: pods, ConfigMaps, Secrets and Services of the API server, and requests on a Unix socket.
//! Out: processes, pod statuses, events. It behaves like a kubelet; deviations are documented
//! where they are implemented (`probes`, `agent`).

mod agent;
mod atomic;
mod config;
mod env;
mod events;
mod fields;
mod health;
mod ipam;
mod lifecycle;
mod loadbalancer;
mod logs;
mod memory;
mod message;
mod network;
mod outcome;
mod pod_table;
mod prepare;
mod probe_action;
mod probe_failure;
mod probes;
mod process;
mod publisher;
mod refusal;
mod register;
mod rootfs;
mod sandbox;
mod slot;
mod socket;
mod source;
mod sources;
mod start;
mod state;
mod status;
mod steps;
mod unsupported;
mod urgency;
mod volumes;
mod worker;

pub use agent::run;
pub use config::{NodeConfig, NodeError};
pub use unsupported::is_machines_root;
