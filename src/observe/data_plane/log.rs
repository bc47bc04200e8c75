//! Access logs with one JSON object per line.

use std::collections::BTreeMap;

use serde_json::Value;

/// Field with the call's id. The mesh is installed with it.
pub const CALL: &str = "meshproof_call";

/// A log line of a call, with all fields as text. `null` becomes empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessLogEntry {
    pub call: String,
    pub fields: BTreeMap<String, String>,
}

impl AccessLogEntry {
    /// A field's value; empty if it is absent.
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

/// The entries of calls, in order.
pub fn rows(log: &str) -> Vec<AccessLogEntry> {
    let entries = log
        .lines()
        .filter_map(|line| serde_json::from_str::<BTreeMap<String, Value>>(line).ok());
    let rows = entries.filter_map(|entry| {
        let call = entry.get(CALL)?.as_str()?.to_owned();
        let text = |value: Value| match value {
            Value::Null => String::new(),
            Value::String(text) => text,
            other => other.to_string(),
        };
        let fields = entry.into_iter().map(|(key, value)| (key, text(value)));
        Some(AccessLogEntry {
            call,
            fields: fields.collect(),
        })
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_line_are_text() {
        let log = "noise\n{\"meshproof_call\":\"a-1\",\"response_code\":200,\"grpc_status\":null}\n{\"meshproof_call\":null}\n";
        let rows = rows(log);
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].call, "a-1");
        assert_eq!(rows[0].field("response_code"), "200");
        assert_eq!(rows[0].field("grpc_status"), "");
    }
}
