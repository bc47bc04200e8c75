//! Tests of the program and its library from outside. They are one binary, because linking the
//! whole program takes half a minute per binary.
//!
//! `cargo test --test it layers::` runs one module. Tests that need more than a machine with Rust
//! are ignored; `scripts/test` runs them.

mod attack;
mod budget;
mod checks;
mod cli;
mod cli_report;
mod cli_suites;
mod comments;
mod contract;
mod doctor;
mod examples;
mod kept;
mod layers;
mod machine;
mod program;
mod scenario_lint;
mod scenario_plan;
mod side;
mod suites;
