//! Validation of messages against the schema.

use std::{collections::BTreeMap, sync::LazyLock};

use jsonschema::Validator;
use serde_json::{Value, json};

const MESSAGES: [&str; 8] = [
    "Info", "Alive", "Reached", "CallPlan", "RunLine", "Script", "Attempt", "Span",
];

/// Validators by the name of the message's type. The checked-in schema is what counts; another
/// test compares it with the types.
static VALIDATORS: LazyLock<BTreeMap<&str, Validator>> = LazyLock::new(|| {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fixtures/testbed/control.schema.json"
    );
    let text = std::fs::read_to_string(path).expect("it is there");
    let schema: Value = serde_json::from_str(&text).expect("JSON");
    let one = |name: &'static str| {
        let schema = json!({"$schema": schema["$schema"], "$ref": format!("#/$defs/{name}"), "$defs": schema["$defs"]});
        (name, jsonschema::validator_for(&schema).expect("a schema"))
    };
    MESSAGES.map(one).into()
});

/// Violations of the schema by a message; empty if it is valid.
pub fn faults(message: &str, document: &Value) -> Vec<String> {
    let errors = VALIDATORS[message].iter_errors(document);
    errors
        .map(|error| format!("{} {error}", error.instance_path()))
        .collect()
}

/// Reads a message that must be valid against the schema.
pub fn read<T: serde::de::DeserializeOwned>(message: &str, text: &str) -> T {
    let document: Value = serde_json::from_str(text).unwrap_or_else(|error| {
        panic!("not a {message}, because it is not JSON ({error}): {text:?}")
    });
    let faults = faults(message, &document);
    assert!(faults.is_empty(), "not a {message}: {faults:#?}\n{text}");
    serde_json::from_value(document).unwrap_or_else(|error| {
        panic!("valid against the schema, but not a {message} ({error}): {text}")
    })
}

/// Writes a message, which must be valid against the schema.
pub fn written(message: &str, value: &impl serde::Serialize) -> String {
    let document = serde_json::to_value(value).expect("JSON");
    let faults = faults(message, &document);
    assert!(
        faults.is_empty(),
        "not a {message}: {faults:#?}\n{document}"
    );
    document.to_string()
}
