//! What makes a command fail, and the exit code of each cause.

use std::error::Error;
use std::io;

use crate::exit::Exit;
use crate::settings::SettingsError;

#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Something asked for does not exist or can't be used as asked.
    #[error("{0}")]
    Usage(String),
    /// What was asked for names no scenario.
    #[error("{0}")]
    NothingSelected(String),
    #[error("can't write to stdout")]
    Stdout(#[source] io::Error),
    /// Anything that keeps us from telling.
    #[error(transparent)]
    Other(Box<dyn Error + Send + Sync>),
}

impl CommandError {
    pub fn other(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Other(Box::new(error))
    }

    pub fn exit(&self) -> Exit {
        match self {
            Self::Settings(_) | Self::Usage(_) => Exit::Usage,
            Self::NothingSelected(_) => Exit::NothingSelected,
            Self::Stdout(_) | Self::Other(_) => Exit::Error,
        }
    }
}
