//! The program and its library from outside: one binary, because each that links the whole of it
//! takes half a minute.
//!
//! `cargo test --test it layers::` runs one module. Tests that need more than a machine with Rust
//! on it are ignored; `scripts/test` runs them.

mod attack;
mod budget;
mod checks;
mod cli;
mod comments;
mod contract;
mod doctor;
mod examples;
mod kept;
mod layers;
mod machine;
mod scenario_lint;
mod scenario_plan;
mod side;
mod suites;
