//! Operations on the Kubernetes API that all targets share.

pub mod answer;
pub mod bounds;
pub mod client;
pub mod holder;
pub mod journal;
pub mod kinds;
pub mod kubeconfig;
pub mod lease;
pub mod namespaces;
pub mod object;
pub mod plugin;
pub mod pod_watch;
pub mod pods;
pub mod request;
pub mod runs;
pub mod scope;
pub mod writer;

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod harm_tests;
