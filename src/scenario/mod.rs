//! The typed suite file: parse, lint, select, explain, schema.

pub mod model;
