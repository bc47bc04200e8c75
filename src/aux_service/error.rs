//! Why a side system is not there, each with the way out.

use std::{error::Error, path::PathBuf, time::Duration};

use crate::errors::{Classified, ErrorClass};

/// Why a side system could not be started.
#[derive(Debug, thiserror::Error)]
pub enum AuxServiceError {
    /// Containers are a feature of the build.
    #[error(
        "{name}: this meshproof is built without containers; cargo build --features meshproof/containers, or have it run as a program"
    )]
    NotBuiltIn { name: String },
    /// No engine, or none that answers.
    #[error(
        "{name}: no Docker engine answers ({words}); `meshproof doctor --target kind` says how to get one"
    )]
    NoEngine { name: String, words: String },
    #[error(
        "{name}: the engine has no image {image}, and it may not be pulled; load it (docker load, docker pull), or allow pulling"
    )]
    NoImage { name: String, image: String },
    #[error("{name}: image {image} cannot be pulled")]
    Pull {
        name: String,
        image: String,
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("{name}: the engine does not start it")]
    Container {
        name: String,
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("{name}: cannot start {}", .path.display())]
    Program {
        name: String,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{name}: no free port on this machine")]
    Port {
        name: String,
        source: std::io::Error,
    },
    /// It runs, but does not take work.
    #[error(
        "{name} was not ready within {limit:?}: waited for {what}, last seen: {last}; its log ends with\n{log}"
    )]
    NotReady {
        name: String,
        limit: Duration,
        what: String,
        last: String,
        log: String,
    },
    /// It ended by itself.
    #[error("{name} ended before it was ready ({how}); its log ends with\n{log}")]
    Ended {
        name: String,
        how: String,
        log: String,
    },
    /// It has neither an image nor a program, or both ways failed.
    #[error("{name} can be started in no way: {}", .reasons.join("; "))]
    NoWay { name: String, reasons: Vec<String> },
}

/// Side systems run on this machine, whatever the mesh runs on.
impl Classified for AuxServiceError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Machine
    }
}
