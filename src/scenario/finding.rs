//! What is wrong with a suite file: place, words, way out.

use std::sync::Arc;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, NamedSource, SourceSpan};
use thiserror::Error;

use super::manifest::{nearest, sentence};
use crate::yaml::{Place, YamlError};

/// One mistake in one file.
#[derive(Debug, Clone, Error, Diagnostic)]
#[error("{message}")]
pub struct Finding {
    pub file: String,
    /// From 1, as is the column.
    pub line: usize,
    pub column: usize,
    pub message: String,
    #[help]
    pub help: String,
    #[source_code]
    text: NamedSource<Arc<str>>,
    #[label("here")]
    span: SourceSpan,
}

impl Finding {
    pub fn new(
        file: &str,
        text: &Arc<str>,
        place: Place,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            file: file.to_owned(),
            line: place.line,
            column: place.column,
            message: message.into(),
            help: help.into(),
            text: NamedSource::new(file, Arc::clone(text)).with_language("yaml"),
            span: (
                place.offset,
                place
                    .length
                    .max(1)
                    .min(text.len().saturating_sub(place.offset)),
            )
                .into(),
        }
    }

    /// Words the reader's error for people who never saw the type behind it.
    pub fn from_yaml(file: &str, text: &Arc<str>, error: &YamlError) -> Self {
        let (message, help) = reword(error);
        Self::new(file, text, error.place, message, help)
    }

    /// `file:line:column: message; help` on one line, for editors and CI.
    pub fn plain(&self) -> String {
        let Self {
            file,
            line,
            column,
            message,
            help,
            ..
        } = self;
        let help = help.replace('\n', " ");
        format!("{file}:{line}:{column}: {message}; {help}")
    }
}

/// `unknown field `x`, expected one of `a`, `b`` → what it is and what it may have meant.
fn reword(error: &YamlError) -> (String, String) {
    let message = &error.message;
    let mut names = message.split('`').skip(1).step_by(2);
    let first = names.next().unwrap_or_default().to_owned();
    let known: Vec<&str> = names.collect();
    // The reader may or may not have gone down into the unknown key.
    let path = error.path.strip_suffix(&first).unwrap_or(&error.path);
    let path = path.trim_end_matches('.');
    let place = if path.is_empty() {
        "the top level"
    } else {
        path
    };
    if message.starts_with("unknown field") {
        let help = sentence(&first, &known, "keys");
        return (format!("unknown key '{first}' in {place}"), help);
    }
    if message.starts_with("unknown variant") {
        let what = if path.starts_with("steps[") && path.ends_with(']') {
            "verb"
        } else {
            "value"
        };
        return (
            format!("unknown {what} '{first}' in {place}"),
            sentence(&first, &known, "words"),
        );
    }
    if message.starts_with("missing field") {
        let help =
            format!("add `{first}:`; `meshproof schema` and docs/scenario-format.md describe it");
        return (format!("'{first}' is missing in {place}"), help);
    }
    if message.starts_with("invalid type") || message.starts_with("invalid value") {
        let help = "see docs/scenario-format.md for the form of this value".to_owned();
        return (format!("{place}: {message}"), help);
    }
    let help = "the text must be YAML as docs/scenario-format.md describes it".to_owned();
    (message.clone(), help)
}

/// How findings are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// With colours, on a terminal that wants them.
    Colour,
    /// The same picture without (`NO_COLOR`, or no terminal).
    Monochrome,
    /// One line each.
    Plain,
}

/// All findings as text that ends with a line break.
pub fn render(findings: &[Finding], style: Style) -> String {
    let theme = match style {
        Style::Plain => {
            let lines = findings.iter().map(|finding| finding.plain() + "\n");
            return lines.collect();
        }
        Style::Colour => GraphicalTheme::unicode(),
        Style::Monochrome => GraphicalTheme::unicode_nocolor(),
    };
    let handler = GraphicalReportHandler::new_themed(theme).with_links(false);
    let mut text = String::new();
    for finding in findings {
        if handler.render_report(&mut text, finding).is_err() {
            text += &finding.plain();
        }
        text.push('\n');
    }
    text
}

/// The known word that a wrong one is closest to, if it is close at all.
pub fn did_you_mean(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(name) => format!("did you mean '{name}'?"),
        None => format!("known are: {}", known.join(", ")),
    }
}
