//! Texts that several matchers share.

use std::{collections::BTreeMap, fmt::Display};

/// `a: b, no c`.
pub fn fields_text(fields: &BTreeMap<String, Option<impl Display>>) -> String {
    let parts = fields.iter().map(|(key, value)| match value {
        Some(value) => format!("{key}: {value}"),
        None => format!("no {key}"),
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// `90 %`, `33.3 %`.
pub fn percent(share: f64) -> String {
    let text = format!("{:.1}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}
