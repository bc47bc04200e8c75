//! The flags of `run` as data: what each is for, and which were given. Nothing here parses a
//! command line.

pub mod given;
pub mod table;
