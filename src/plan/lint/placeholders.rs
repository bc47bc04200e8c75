//! Unknown placeholders.

use crate::{
    scenario::{
        finding::Finding,
        manifest::{PLACEHOLDERS, unknown_placeholders},
    },
    yaml::Position,
};

/// Unknown `${…}` in any text.
pub fn bad_placeholders(file: &str, text: &std::sync::Arc<str>) -> Vec<Finding> {
    let known: Vec<String> = PLACEHOLDERS
        .iter()
        .map(|name| format!("${{{name}}}"))
        .collect();
    let found = unknown_placeholders(text)
        .into_iter()
        .map(|(offset, word)| {
            let position = Position::at(text, offset, word.len());
            let help = format!("known placeholders: {}", known.join(", "));
            Finding::new(
                file,
                text,
                position,
                format!("unknown placeholder {word}"),
                help,
            )
        });
    found.collect()
}
