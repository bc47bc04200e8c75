//! The namespace of a scenario: its creation, contents, readiness, evidence and removal.

pub mod certificates;
pub mod change;
pub mod clean_up;
pub mod control;
pub mod create;
pub mod error;
pub mod give_back;
pub mod leftovers;
pub mod maker;
pub mod manifests;
pub mod mutated;
pub mod name;
pub mod pod_evidence;
pub mod pod_marks;
pub mod pool;
pub mod reach;
pub mod reshape;
pub mod rollout;
pub mod scenario_namespace;
pub mod settled;
pub mod standing;
