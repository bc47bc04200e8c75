//! What a test server is told to do with calls.

use serde_json::Value;
use testbed::control::Script;

use super::status;

/// A script as the servers read it; a status may be given by name.
pub fn script(value: Option<&Value>) -> Result<Option<Script>, String> {
    let Some(mut value) = value.cloned() else {
        return Ok(None);
    };
    if let Some(Value::String(name)) = value.get("status") {
        let code = status::code(name).ok_or_else(|| format!("'{name}' is no gRPC status"))?;
        value["status"] = code.into();
    }
    serde_json::from_value(value)
        .map(Some)
        .map_err(|error| error.to_string())
}
