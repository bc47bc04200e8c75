//! Flags as they were given, on the command line or in the environment.

use std::{ffi::OsString, fmt};

use super::table::{self, Flag};

/// A flag that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Its clap id.
    pub id: String,
    /// `--name`; a positional argument has none.
    pub flag: String,
    /// Raw values, in order; none for a flag without a value.
    pub values: Vec<OsString>,
    /// The environment variable that set it.
    pub variable: Option<String>,
}

impl Given {
    /// Its entry in [`table::FLAGS`].
    pub fn entry(&self) -> Option<&'static Flag> {
        table::find(&self.id)
    }

    /// Its values as text; invalid UTF-8 is replaced.
    pub fn to_args(&self) -> Vec<String> {
        let message = self.values.iter();
        message
            .map(|value| value.to_string_lossy().into_owned())
            .collect()
    }
}

/// As it was given: `--istio 1.28.0`, or `MESHPROOF_ISTIO=1.28.0`.
impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_args().join(" ");
        match &self.variable {
            Some(variable) => write!(f, "{variable}={value}"),
            None => f.write_str(format!("{} {value}", self.flag).trim()),
        }
    }
}
