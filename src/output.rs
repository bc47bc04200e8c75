//! The only module that prints to stdout, and the rules for colour and untrusted text.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::ValueEnum;
use owo_colors::{OwoColorize, Style};
use serde::Serialize;

use crate::{
    env::{self, Terminal},
    text::userinfo,
};

/// When output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ColorChoice {
    #[default]
    Auto,
    Always,
    Never,
}

/// Output format on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    #[default]
    Text,
    Json,
}

/// Writes data to stdout. A closed pipe (`| head`) is not an error.
pub fn data(text: &str) -> io::Result<()> {
    Stdout.write_all(text.as_bytes())?;
    Stdout.flush()
}

/// Stdout as a writer, with the rules of [`data`]. Write whole lines: control sequences are
/// searched for in each piece separately.
#[derive(Debug, Clone, Copy)]
pub struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let safe = door(
            &text,
            STDOUT_COLOUR.load(Ordering::Relaxed),
            env::github_actions(),
        );
        match io::stdout().write_all(safe.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match io::stdout().flush() {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }
}

/// Stderr as a writer. Nothing depends on it being read.
#[derive(Debug, Clone, Copy)]
pub struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let safe = door(
            &text,
            STDERR_COLOUR.load(Ordering::Relaxed),
            env::github_actions(),
        );
        io::stderr()
            .write_all(safe.as_bytes())
            .map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Writes one line of data to stdout.
pub fn line(text: &str) -> io::Result<()> {
    data(&format!("{text}\n"))
}

/// Writes one pretty JSON document to stdout.
pub fn json(value: &impl Serialize) -> io::Result<()> {
    json_text(&format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// Writes JSON to stdout. Characters that would control a terminal or a CI runner are written as
/// JSON escapes, so that the data stay the same.
pub fn json_text(text: &str) -> io::Result<()> {
    data(&json_escaped(text))
}

/// Prints a message for the user (stderr). Nothing depends on it being read.
pub fn say(text: &str) {
    let _ = Stderr.write_all(format!("{text}\n").as_bytes());
}

/// Writes one of meshproof's own workflow commands to stderr: the only lines that a CI runner is
/// to obey.
pub fn command(text: &str) {
    let text = clean(text).replace(V1, V1_BROKEN);
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Whether colours are on for a stream, so that colour sequences may pass.
static STDOUT_COLOUR: AtomicBool = AtomicBool::new(false);
static STDERR_COLOUR: AtomicBool = AtomicBool::new(false);

/// GitHub's runner obeys `##[command]` anywhere in a line, and `::command::` after leading white
/// space (`ActionCommand.cs`).
const V1: &str = "##[";
const V1_BROKEN: &str = "## [";
const V2: &str = "::";
const V2_BROKEN: &str = ": :";

/// Sanitizes all output: masks the userinfo of URLs, and removes escape sequences and control
/// characters, except colours where they are on. Under GitHub Actions, it breaks everything that
/// its runner would obey.
fn door(text: &str, colour: bool, actions: bool) -> Cow<'_, str> {
    let text = &*userinfo(text);
    let text: Cow<'_, str> = match colour {
        false => Cow::Owned(clean(text).into_owned()),
        true => Cow::Owned(clean_but_colours(text).into_owned()),
    };
    let commands = |text: &str| text.contains(V1) || text.contains(V2);
    if !actions || !commands(&text) {
        return text;
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for line in text.split_inclusive('\n') {
        let start = line.trim_start();
        match start.strip_prefix(V2) {
            Some(rest) => {
                safe.push_str(&line[..line.len() - start.len()]);
                safe.push_str(V2_BROKEN);
                safe.push_str(&rest.replace(V1, V1_BROKEN));
            }
            None => safe.push_str(&line.replace(V1, V1_BROKEN)),
        }
    }
    Cow::Owned(safe)
}

/// Like [`clean`], but keeps colours (SGR, ECMA-48 8.3.117).
fn clean_but_colours(text: &str) -> Cow<'_, str> {
    if !text.contains('\u{1b}') {
        return clean(text);
    }
    let (mut safe, mut done, mut at) = (String::new(), 0, 0);
    while let Some(found) = text[at..].find("\u{1b}[") {
        let start = at + found;
        let parameters = &text[start + 2..];
        let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';' && c != ':');
        at = start + 2;
        if let Some(end) = end.filter(|end| parameters[*end..].starts_with('m')) {
            let after = start + 2 + end + 1;
            safe.push_str(&clean(&text[done..start]));
            safe.push_str(&text[start..after]);
            (done, at) = (after, after);
        }
    }
    safe.push_str(&clean(&text[done..]));
    Cow::Owned(safe)
}

/// Escapes characters in JSON that control a terminal or a CI runner. They only occur in its
/// strings.
fn json_escaped(text: &str) -> String {
    let text = text.replace(V1, "##\\u005b");
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match u32::from(c) {
            code if is_bad(c) => safe.push_str(&format!("\\u{code:04x}")),
            _ => safe.push(c),
        }
    }
    safe
}

/// A number and what is counted, in the plural unless the number is 1.
pub fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Returns whether to colour a stream: a flag overrides the environment, NO_COLOR overrides
/// CLICOLOR_FORCE.
pub fn colored(choice: Option<ColorChoice>, env: &Terminal, is_terminal: bool) -> bool {
    match choice.unwrap_or_default() {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if env.no_color => false,
        ColorChoice::Auto if env.force_color => true,
        ColorChoice::Auto => is_terminal && !env.dumb,
    }
}

/// Colours that are on or off; the meaning of output never depends on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Palette {
    pub on: bool,
}

impl Palette {
    pub const PLAIN: Self = Self { on: false };

    pub fn stdout(choice: Option<ColorChoice>) -> Self {
        let on = colored(choice, &Terminal::from_env(), io::stdout().is_terminal());
        STDOUT_COLOUR.store(on, Ordering::Relaxed);
        Self { on }
    }

    pub fn stderr(choice: Option<ColorChoice>) -> Self {
        let on = colored(choice, &Terminal::from_env(), io::stderr().is_terminal());
        STDERR_COLOUR.store(on, Ordering::Relaxed);
        Self { on }
    }

    pub fn paint(self, text: impl Display, style: Style) -> String {
        if self.on {
            text.style(style).to_string()
        } else {
            text.to_string()
        }
    }
}

/// Makes text from elsewhere (servers, proxies, suite files) safe to print: removes escape
/// sequences and control characters, keeps line breaks and tabs.
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.contains(is_bad) {
        return Cow::Borrowed(text);
    }
    let stripped = anstream::adapter::strip_str(text).to_string();
    Cow::Owned(stripped.chars().filter(|c| !is_bad(*c)).collect())
}

/// Like [`clean`], on one line: runs of white space become one space.
pub fn clean_line(text: &str) -> String {
    clean(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_bad(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t') || is_bidi_control(c)
}

/// Characters that change the displayed order of text (Unicode TR 9, explicit formatting
/// characters).
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

    #[rstest]
    #[case("::error file=x::y\n", ": :error file=x::y\n")]
    #[case("  \t::stop-commands::x", "  \t: :stop-commands::x")]
    #[case("saw ##[add-mask]PASS and ##[x]", "saw ## [add-mask]PASS and ## [x]")]
    #[case("a::b ##\n::c", "a::b ##\n: :c")]
    #[case("::##[group]", ": :## [group]")]
    #[case("##\u{1b}[0K[x]", "## [x]")]
    #[case("plain # text\n", "plain # text\n")]
    fn no_text_commands_a_runner(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(door(text, false, true), expected);
    }

    #[rstest]
    #[case(true, "\u{1b}[31mred\u{1b}[0m", "\u{1b}[31mred\u{1b}[0m")]
    #[case(false, "\u{1b}[31mred\u{1b}[0m", "red")]
    #[case(true, "\u{1b}]52;c;eA==\u{7}\u{1b}[2Jx\u{1b}[1;4my", "x\u{1b}[1;4my")]
    #[case(true, "\u{1b}[12", "")]
    #[case(true, "::x", "::x")]
    fn only_colours_pass(#[case] colour: bool, #[case] text: &str, #[case] expected: &str) {
        assert_eq!(door(text, colour, false), expected);
    }

    proptest::proptest! {
        #[test]
        fn what_passes_steers_nobody(text in "(::|##|\\[|\u{1b}|m|0|\n| |\u{9b}|\u{202e}|.){0,30}") {
            for colour in [false, true] {
                let safe = door(&text, colour, true);
                let lines = safe.lines().all(|line| !line.trim_start().starts_with("::") && !line.contains("##["));
                proptest::prop_assert!(lines, "{safe:?}");
                let rest = anstream::adapter::strip_str(&safe).to_string();
                proptest::prop_assert!(!rest.contains(is_bad), "{safe:?}");
            }
            let json = serde_json::to_string(&text).expect("a string");
            let safe = json_escaped(&json);
            proptest::prop_assert!(!safe.contains(is_bad) && !safe.contains("##["));
            let read: String = serde_json::from_str(&safe).expect("JSON");
            proptest::prop_assert_eq!(read, text);
        }
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
