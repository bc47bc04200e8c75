//! The only place that prints to stdout, and the rules of colour and of untrusted text.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use owo_colors::{OwoColorize, Style};
use serde::Serialize;

use crate::cli::ColorChoice;
use crate::env::Terminal;

/// Writes data to stdout. A reader that has gone away (`| head`) is not an error.
pub fn data(text: &str) -> io::Result<()> {
    Stdout.write_all(text.as_bytes())?;
    Stdout.flush()
}

/// Stdout as a writer, with the rule of [`data`].
#[derive(Debug, Clone, Copy)]
pub struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match io::stdout().write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(bytes.len()),
            other => other,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match io::stdout().flush() {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }
}

/// Writes one line of data to stdout.
pub fn line(text: &str) -> io::Result<()> {
    data(&format!("{text}\n"))
}

/// Writes one pretty JSON document to stdout.
pub fn json(value: &impl Serialize) -> io::Result<()> {
    line(&serde_json::to_string_pretty(value)?)
}

/// Says something to the person at the terminal (stderr). Nothing depends on it being read.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// An error and its causes on one line; a cause that the text already ends with is not repeated.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// Whether to colour a stream: a flag beats the environment, NO_COLOR beats CLICOLOR_FORCE.
pub fn colored(choice: Option<ColorChoice>, env: &Terminal, is_terminal: bool) -> bool {
    match choice.unwrap_or_default() {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if env.no_color => false,
        ColorChoice::Auto if env.force_color => true,
        ColorChoice::Auto => is_terminal && !env.dumb,
    }
}

/// Colours that are on or off; meaning never depends on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Palette {
    pub on: bool,
}

impl Palette {
    pub const PLAIN: Self = Self { on: false };

    pub fn stdout(choice: Option<ColorChoice>) -> Self {
        Self {
            on: colored(choice, &Terminal::from_env(), io::stdout().is_terminal()),
        }
    }

    pub fn stderr(choice: Option<ColorChoice>) -> Self {
        Self {
            on: colored(choice, &Terminal::from_env(), io::stderr().is_terminal()),
        }
    }

    pub fn paint(self, text: impl Display, style: Style) -> String {
        if self.on {
            text.style(style).to_string()
        } else {
            text.to_string()
        }
    }
}

/// Makes text from elsewhere (servers, proxies, suite files) safe to print: escape sequences and control characters go,
/// line breaks and tabs stay.
pub fn clean(text: &str) -> Cow<'_, str> {
    let bad = |c: char| (c.is_control() && c != '\n' && c != '\t') || is_bidi_control(c);
    if !text.contains(bad) {
        return Cow::Borrowed(text);
    }
    let stripped = anstream::adapter::strip_str(text).to_string();
    Cow::Owned(stripped.chars().filter(|c| !bad(*c)).collect())
}

/// As [`clean`], on one line: white space runs become one space.
pub fn clean_line(text: &str) -> String {
    clean(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Characters that reorder what a reader sees (Unicode TR 9, explicit formatting characters).
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("plain\ttext\n", "plain\ttext\n")]
    #[case("\u{1b}[31mred\u{1b}[0m", "red")]
    #[case("\u{1b}]0;title\u{7}x", "x")]
    #[case("a\u{0}b\rc\u{9b}d", "abcd")]
    #[case("\u{202e}gnp.exe", "gnp.exe")]
    #[case("grün ✓", "grün ✓")]
    fn untrusted_text_cannot_steer_the_terminal(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(clean(text), expected);
    }

    #[test]
    fn one_line_stays_one_line() {
        assert_eq!(clean_line("a\nb\r\n  c\u{1b}[2J"), "a b c");
    }

    fn env(no_color: bool, force_color: bool, dumb: bool) -> Terminal {
        Terminal {
            no_color,
            force_color,
            dumb,
            ci: false,
        }
    }

    #[rstest]
    #[case::terminal(None, env(false, false, false), true, true)]
    #[case::pipe(None, env(false, false, false), false, false)]
    #[case::no_color(None, env(true, false, false), true, false)]
    #[case::no_color_beats_force(None, env(true, true, false), true, false)]
    #[case::forced_pipe(None, env(false, true, false), false, true)]
    #[case::dumb(None, env(false, false, true), true, false)]
    #[case::flag_beats_no_color(Some(ColorChoice::Always), env(true, false, true), false, true)]
    #[case::flag_beats_force(Some(ColorChoice::Never), env(false, true, false), true, false)]
    fn colour_rules(
        #[case] choice: Option<ColorChoice>,
        #[case] env: Terminal,
        #[case] is_terminal: bool,
        #[case] expected: bool,
    ) {
        assert_eq!(colored(choice, &env, is_terminal), expected);
    }
}
