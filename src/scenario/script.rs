//! What a test server is told to do with calls.

use serde_json::Value;
use testbed::control::Script;

use super::status;

/// Why no server takes a script.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    #[error("'{0}' is no gRPC status")]
    Status(String),
    #[error(transparent)]
    Form(#[from] serde_json::Error),
}

impl ScriptError {
    /// What an author does about it.
    pub const HELP: &str = "docs/scenario-format.md lists what a server can be told";

    /// As lint says it.
    pub fn told(&self) -> String {
        format!("the script cannot be read: {self}")
    }
}

/// A script as the servers read it; a status may be given by name.
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
