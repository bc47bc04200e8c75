//! Errors of auxiliary services, with their remedies.

use std::{error::Error, path::PathBuf, time::Duration};

use crate::errors::{Classified, ErrorClass};

/// An error starting an auxiliary service.
#[derive(Debug, thiserror::Error)]
pub enum AuxServiceError {
    /// Containers are a build feature.
    #[error(
        "{name}: this meshproof is built without containers; cargo build --features meshproof/containers, or run it as a program"
    )]
    NotBuiltIn { name: String },
    /// There is no engine, or it does not respond.
    #[error(
        "{name}: no Docker engine answers ({message}); `meshproof doctor --target kind` shows how to get one"
    )]
    NoEngine { name: String, message: String },
    #[error(
        "{name}: the engine has no image {image}, and pulling is not allowed; load it (docker load, docker pull), or allow pulling"
    )]
    NoImage { name: String, image: String },
    #[error("{name}: cannot pull image {image}")]
    Pull {
        name: String,
        image: String,
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("{name}: the engine cannot start it")]
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
    /// It runs but did not become ready.
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
    /// It exited by itself.
    #[error("{name} exited before it was ready ({how}); its log ends with\n{log}")]
    Ended {
        name: String,
        how: String,
        log: String,
    },
    /// It has neither an image nor a program, or both failed.
    #[error("cannot start {name}: {}", .reasons.join("; "))]
    NoWay { name: String, reasons: Vec<String> },
}

/// Auxiliary services run on this machine, wherever the mesh runs.
impl Classified for AuxServiceError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Machine
    }
}
