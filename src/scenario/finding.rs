//! Findings about a suite file: position, message, help.

use std::{borrow::Cow, sync::Arc};

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, NamedSource, SourceSpan};
use serde::Serialize;
use thiserror::Error;

use super::file::LoadError;
pub use crate::text::did_you_mean;
use crate::{
    output::{clean, clean_line},
    text::sentence,
    yaml::{Position, YamlError},
};

/// Longest message and help, in characters: text quoted from a file may be arbitrarily long.
const MESSAGE: usize = 400;
const HELP: usize = 1200;
/// Longest line that is drawn, in bytes.
const DRAWN: usize = 400;

/// Severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Nothing runs while there are errors.
    Error,
    /// Does not prevent a run.
    Warning,
}

/// One mistake in one file. Its text is sanitized: text from files can neither control a terminal
/// nor be unbounded.
#[derive(Debug, Clone, Error, Diagnostic, Serialize)]
#[error("{message}")]
pub struct Finding {
    pub severity: Severity,
    pub file: String,
    /// From 1, like the column.
    pub line: usize,
    pub column: usize,
    pub message: String,
    #[help]
    pub help: String,
    #[source_code]
    #[serde(skip)]
    text: NamedSource<Arc<str>>,
    #[label("here")]
    #[serde(skip)]
    span: SourceSpan,
}

impl Finding {
    pub fn new(
        file: &str,
        text: &Arc<str>,
        position: Position,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let file = clean_line(file);
        Self {
            severity: Severity::Error,
            line: position.line,
            column: position.column,
            message: short(&message.into(), MESSAGE),
            help: short(&help.into(), HELP),
            text: NamedSource::new(&file, Arc::clone(text)).with_language("yaml"),
            file,
            span: (
                position.offset,
                position
                    .length
                    .max(1)
                    .min(text.len().saturating_sub(position.offset)),
            )
                .into(),
        }
    }

    /// A finding about a file as a whole.
    pub fn of_file(file: &str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(file, &Arc::from(""), Position::default(), message, help)
    }

    /// A file or folder that could not be read.
    pub fn from_load(error: &LoadError) -> Self {
        let file = error.path().map(|path| path.display().to_string());
        let file = file.unwrap_or_default();
        match error {
            LoadError::NotText { text, position, .. } => {
                let message = "this byte is not valid UTF-8";
                Self::new(&file, text, *position, message, error.help())
            }
            LoadError::Io { source, .. } => {
                let message = format!("the file cannot be read: {source}");
                Self::of_file(&file, message, error.help())
            }
            other => Self::of_file(&file, other.to_string(), error.help()),
        }
    }

    /// The same finding as a warning.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Rewords the parser's error for people who do not know the types behind it.
    pub fn from_yaml(file: &str, text: &Arc<str>, error: &YamlError) -> Self {
        let (message, help) = reword(error);
        Self::new(file, text, error.position, message, help)
    }

    /// `file:line:column: message; help` on one line, for editors and CI.
    pub fn plain(&self) -> String {
        let Self {
            severity,
            file,
            line,
            column,
            message,
            help,
            ..
        } = self;
        let word = match severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
        };
        format!("{file}:{line}:{column}: {word}{message}; {help}")
    }

    /// The same finding with source text that cannot control a terminal.
    fn cleaned(&self) -> Self {
        let text = drawable(self.text.inner());
        Self {
            text: NamedSource::new(&self.file, text).with_language("yaml"),
            ..self.clone()
        }
    }

    /// Whether the source line can be drawn.
    fn is_drawable(&self) -> bool {
        let text = self.text.inner();
        let line = text.lines().nth(self.line.saturating_sub(1));
        !text.is_empty() && line.is_none_or(|line| line.len() <= DRAWN)
    }
}

/// How many characters are kept of the end of a long text.
const END: usize = 80;

/// One sanitized line of at most about this many characters: the beginning and end of a longer
/// text, which may be megabytes.
fn short(text: &str, most: usize) -> String {
    if text.chars().nth(most).is_none() {
        return clean_line(text);
    }
    let begin: String = text.chars().take(most - END).collect();
    let end: Vec<char> = text.chars().rev().take(END).collect();
    let end: String = end.iter().rev().collect();
    format!("{}…{}", clean_line(&begin), clean_line(&end))
}

/// Replaces terminal control characters byte for byte, so that positions stay valid.
fn drawable(text: &Arc<str>) -> Arc<str> {
    match clean(text) {
        Cow::Borrowed(_) => Arc::clone(text),
        Cow::Owned(_) => {
            let mut buffer = [0; 4];
            let replaced = text.chars().map(|c| {
                let length = c.len_utf8();
                let keeps = matches!(c, '\n' | '\t');
                match clean(c.encode_utf8(&mut buffer)).is_empty() && !keeps {
                    true if c == '\r' => " ".to_owned(),
                    true => "?".repeat(length),
                    false => c.to_string(),
                }
            });
            replaced.collect::<String>().into()
        }
    }
}

/// Turns `unknown field `x`, expected one of `a`, `b`` into a message and a suggestion.
fn reword(error: &YamlError) -> (String, String) {
    let message = &error.message;
    let mut names = message.split('`').skip(1).step_by(2);
    let first = names.next().unwrap_or_default().to_owned();
    let known: Vec<&str> = names.collect();
    // The path may or may not include the unknown key.
    let path = error.path.strip_suffix(&first).unwrap_or(&error.path);
    let path = path.trim_end_matches('.');
    let position = if path.is_empty() {
        "the top level"
    } else {
        path
    };
    if message.starts_with("unknown field") {
        let help = sentence(&first, &known, "keys");
        return (format!("unknown key '{first}' in {position}"), help);
    }
    if message.starts_with("unknown variant") {
        let what = if path.starts_with("steps[") && path.ends_with(']') {
            "verb"
        } else {
            "value"
        };
        return (
            format!("unknown {what} '{first}' in {position}"),
            sentence(&first, &known, "values"),
        );
    }
    if message.starts_with("missing field") {
        let help =
            format!("add `{first}:`; `meshproof schema` and docs/scenario-format.md describe it");
        return (format!("'{first}' is missing in {position}"), help);
    }
    if message.starts_with("invalid type") || message.starts_with("invalid value") {
        let message = in_words(message);
        let help = "see docs/scenario-format.md for the form of this value".to_owned();
        return (format!("{position}: {message}"), help);
    }
    let help = if message.contains("duplicate key") {
        "remove one of the two: it is ambiguous which one applies"
    } else {
        "the file must be YAML as described in docs/scenario-format.md"
    };
    (message.clone(), help.to_owned())
}

/// Replaces the names of Rust types by what people write: maps, lists and numbers.
fn in_words(message: &str) -> String {
    let Some((found, expected)) = message.rsplit_once(", expected ") else {
        return message.to_owned();
    };
    let first = expected.split(' ').next().unwrap_or_default();
    let expected = match (first, expected) {
        ("struct" | "map", _) | (_, "a map") => "a map",
        ("sequence", _) | (_, "a sequence") => "a list",
        ("enum" | "variant", _) => "one of the values in docs/scenario-format.md",
        ("u8" | "u16" | "u32" | "u64" | "usize", _) => "a whole number, at least 0",
        ("f64", _) => "a number",
        _ => expected,
    };
    format!("{found}, expected {expected}")
}

/// How findings are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// With colours, on a terminal that supports them.
    Colour,
    /// The same without colours (`NO_COLOR`, or no terminal).
    Monochrome,
    /// One line each.
    Plain,
}

/// All findings as text that ends with a newline.
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
        if !finding.is_drawable()
            || handler
                .render_report(&mut text, &finding.cleaned())
                .is_err()
        {
            text += &finding.plain();
        }
        text.push('\n');
    }
    text
}

/// How many findings GitHub shows per step.
const SHOWN: usize = 10;

/// The first findings as GitHub Actions workflow commands, one per line: GitHub shows them at their
/// source lines.
pub fn commands(findings: &[Finding]) -> String {
    let data = |text: &str| text.replace('%', "%25");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let lines = findings.iter().take(SHOWN).map(|finding| {
        let word = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let (file, line, column) = (property(&finding.file), finding.line, finding.column);
        let text = data(&format!("{}; {}", finding.message, finding.help));
        format!("::{word} file={file},line={line},col={column},title=meshproof lint::{text}\n")
    });
    lines.collect()
}
