//! JSON Schema of suite files, for editors and `meshproof schema`.

use schemars::{Schema, schema_for};

use super::model::Scenario;

/// The schema, generated from the types that the parser uses.
pub fn scenario() -> Schema {
    schema_for!(Scenario)
}

/// The text of docs/scenario.schema.json.
pub fn scenario_text() -> String {
    let text = serde_json::to_string_pretty(&scenario()).unwrap_or_default();
    text + "\n"
}
