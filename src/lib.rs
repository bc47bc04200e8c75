//! meshproof: an end-to-end conformance harness for gRPC through service meshes.
//!
//! ARCHITECTURE.md describes the modules and their order; `tests/it/layers.rs` enforces it.

pub mod aux_service;
#[cfg(feature = "browser")]
pub mod browser;
pub mod cli;
pub mod cluster;
pub mod commands;
pub mod coverage;
pub mod doctor;
pub mod env;
pub mod errors;
pub mod event;
pub mod evidence;
pub mod exit;
pub mod fixture;
pub mod flags;
pub mod image;
pub mod mesh;
pub mod mutation;
pub mod observe;
pub mod output;
pub mod plan;
pub mod private_dir;
pub mod report;
pub mod run;
pub mod scenario;
pub mod seed;
pub mod settings;
pub mod stamp;
pub mod targets;
pub mod text;
pub mod timeouts;
pub mod toolchain;
pub mod transport;
pub mod values;
pub mod verdict;
pub mod wait;
pub mod yaml;
