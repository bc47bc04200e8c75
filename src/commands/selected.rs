//! From words on the command line to scenarios: shared by every command that takes them.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use super::CommandError;
use crate::cli::ColorChoice;
use crate::output::{self, Palette};
use crate::scenario::finding::{Finding, Style, render};
use crate::scenario::load::LoadError;
use crate::scenario::parse::LoadedSet;
use crate::scenario::{Suites, load_all};

/// Loads what the words name; all of `suites/` (or the built-in copy of it) when there are none.
///
/// # Errors
/// A word that names nothing is "nothing selected", the rest is in the way.
pub fn load(words: &[PathBuf]) -> Result<LoadedSet, CommandError> {
    load_all(&Suites::open(Path::new(".")), words).map_err(|error| match error {
        LoadError::Nothing(_) => CommandError::NothingSelected(error.to_string()),
        error => CommandError::other(error),
    })
}

/// Tells what is wrong with suite files on stderr: drawn for a person, one line each for a program.
pub fn tell(findings: &[Finding], color: Option<ColorChoice>) {
    let style = match (io::stderr().is_terminal(), Palette::stderr(color).on) {
        (_, true) => Style::Colour,
        (true, false) => Style::Monochrome,
        (false, false) => Style::Plain,
    };
    render(findings, style).lines().for_each(output::say);
}
