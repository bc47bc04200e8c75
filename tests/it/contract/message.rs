//! Messages as the schema has them.

use std::{collections::BTreeMap, sync::LazyLock};

use jsonschema::Validator;
use serde_json::{Value, json};

const MESSAGES: [&str; 8] = [
    "Info", "Alive", "Reached", "CallPlan", "RunLine", "Script", "Attempt", "Span",
];

/// By the name of the message's type. What is checked in is what counts: a test holds it to the
/// types.
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

/// What the schema has against a message; empty: nothing.
pub fn faults(message: &str, document: &Value) -> Vec<String> {
    let errors = VALIDATORS[message].iter_errors(document);
    errors
        .map(|error| format!("{} {error}", error.instance_path()))
        .collect()
}

/// Reads a message that has to be as the schema says.
pub fn read<T: serde::de::DeserializeOwned>(message: &str, text: &str) -> T {
    let document: Value = serde_json::from_str(text)
        .unwrap_or_else(|error| panic!("no {message}, for no JSON ({error}): {text:?}"));
    let faults = faults(message, &document);
    assert!(faults.is_empty(), "no {message}: {faults:#?}\n{text}");
    serde_json::from_value(document)
        .unwrap_or_else(|error| panic!("fits the schema and is no {message} ({error}): {text}"))
}

/// Writes a message, which has to be as the schema says.
pub fn written(message: &str, value: &impl serde::Serialize) -> String {
    let document = serde_json::to_value(value).expect("JSON");
    let faults = faults(message, &document);
    assert!(faults.is_empty(), "no {message}: {faults:#?}\n{document}");
    document.to_string()
}
