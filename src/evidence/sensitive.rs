//! Recognizes credentials by their name or position, independent of their value.

use serde_json::Value;

pub use crate::text::MASK;

/// HTTP fields that carry credentials (RFC 9110 section 11, RFC 6265) and the usual field for API
/// keys.
const NAMES: [&str; 5] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
];
/// Parts of custom names that indicate a credential.
const WORDS: [&str; 7] = [
    "token",
    "secret",
    "password",
    "passwd",
    "credential",
    "apikey",
    "api-key",
];
/// Fields of EnvoyFilters that contain programs.
const PROGRAMS: [&str; 4] = ["inlineCode", "inline_code", "inlineString", "inline_string"];

/// Whether the value of metadata with this name must be masked. The suffix `-bin` is ignored.
pub fn is_sensitive(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix("-bin").unwrap_or(&name);
    NAMES.contains(&name) || WORDS.iter().any(|word| name.contains(word))
}

/// Masks the values of metadata with sensitive names, except those for which `shown` returns
/// true.
pub fn metadata(fields: &mut [(String, String)], shown: impl Fn(&str) -> bool) {
    for (name, value) in fields {
        if is_sensitive(name) && !shown(name) {
            MASK.clone_into(value);
        }
    }
}

/// Returns an object as it may be stored: the values of a Secret, the values of sensitive names
/// and the programs of EnvoyFilters are masked.
#[must_use]
pub fn object(mut object: Value) -> Value {
    if object["kind"] == "Secret" {
        for part in ["data", "stringData"] {
            if let Some(part) = object.get_mut(part) {
                hide(part);
            }
        }
    }
    hide_within(&mut object);
    object
}

fn hide_within(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            // A name next to its value, as in a container's environment or the headers of a
            // route.
            let named = fields.get("name").or_else(|| fields.get("key"));
            let named = named.and_then(Value::as_str).is_some_and(is_sensitive);
            for (key, field) in fields.iter_mut() {
                let program = PROGRAMS.contains(&key.as_str()) && field.is_string();
                let value = named && key == "value";
                match field.is_string() && (is_sensitive(key) || program || value) {
                    true => hide(field),
                    false => hide_within(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide_within),
        _ => {}
    }
}

fn hide(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(hide),
        Value::Array(items) => items.iter_mut().for_each(hide),
        Value::Null => {}
        other => *other = MASK.into(),
    }
}

/// Returns the values of a Secret at any depth, both as written and decoded.
pub fn secret_values(object: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if object["kind"] == "Secret" {
        collect(&object["stringData"], &mut found);
        let at = found.len();
        collect(&object["data"], &mut found);
        let plain: Vec<String> = found[at..]
            .iter()
            .filter_map(|text| decoded(text))
            .collect();
        found.extend(plain);
    }
    found
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Number(number) => found.push(number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, found)),
        _ => {}
    }
}

/// Decodes base64, if the result is UTF-8.
pub fn decoded(text: &str) -> Option<String> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let packed: String = text.split_whitespace().collect();
    String::from_utf8(STANDARD.decode(packed).ok()?).ok()
}

/// Masks the program that a proxy quotes in its message when it rejects a configuration: Lua
/// names a chunk by its text (`[string "…"]`, Lua 5.1 `luaO_chunkid`) and quotes the token near
/// which it failed.
pub fn refusal(message: &str) -> String {
    let lines: Vec<String> = message.split('\n').map(refusal_line).collect();
    lines.join("\n")
}

fn refusal_line(message: &str) -> String {
    let message = between(message, "[string \"", "\"]");
    let message = between(&message, "near '", "'");
    PROGRAMS.iter().fold(message, |message, field| {
        let message = between(&message, &format!("{field}: \""), "\"");
        between(&message, &format!("\"{field}\":\""), "\"")
    })
}

/// Masks the text between two marks, up to the last end mark before the next start mark. Without
/// an end mark, the rest up to there is masked.
fn between(text: &str, from: &str, to: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(from) {
        let start = at + from.len();
        clean.push_str(&rest[..start]);
        clean.push_str(MASK);
        let next = rest[start..]
            .find(from)
            .map_or(rest.len(), |next| start + next);
        rest = match rest[start..next].rfind(to) {
            Some(end) => &rest[start + end..],
            None => &rest[next..],
        };
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
#[path = "sensitive_tests.rs"]
mod tests;
