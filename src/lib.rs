//! meshproof: an end-to-end conformance harness for gRPC through service meshes.
//!
//! The flow: `cli → settings → plan → target + mesh → fixture → step → observe → verdict → run::event → report`.

#[cfg(feature = "browser")]
pub mod browser;
pub mod cli;
pub mod cluster;
pub mod commands;
pub mod coverage;
pub mod doctor;
pub mod env;
pub mod exit;
pub mod fixture;
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
pub mod side;
pub mod target;
pub mod toolchain;
pub mod verdict;
pub mod yaml;
