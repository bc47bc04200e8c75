//! Scripts: how a test server answers calls.

use serde_json::Value;
use testbed::control::Script;

use super::status;

/// An invalid script.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    #[error("unknown gRPC status '{0}'")]
    Status(String),
    #[error(transparent)]
    Form(#[from] serde_json::Error),
}

impl ScriptError {
    /// What to do about it.
    pub const HELP: &str = "see docs/scenario-format.md for the fields of a script";

    /// The message of the lint finding.
    pub fn reported(&self) -> String {
        format!("invalid script: {self}")
    }
}

/// Parses a script for the servers; the status may be given by name.
///
/// # Errors
/// [`ScriptError`].
pub fn script(value: Option<&Value>) -> Result<Option<Script>, ScriptError> {
    let Some(mut value) = value.cloned() else {
        return Ok(None);
    };
    if let Some(Value::String(name)) = value.get("status") {
        let code = status::code(name).ok_or_else(|| ScriptError::Status(name.clone()))?;
        value["status"] = code.into();
    }
    Ok(Some(serde_json::from_value(value)?))
}
