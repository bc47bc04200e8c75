//! The flags of `run` as such: what each is for, and which were given. Nothing here parses a
//! command line.

pub mod given;
pub mod table;
