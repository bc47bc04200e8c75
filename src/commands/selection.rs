//! From arguments of the command line to scenarios: shared by every command that takes them.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use super::CommandError;
use crate::{
    env::github_actions,
    output::{self, ColorChoice, Palette},
    scenario::{
        ScenarioSet, Suites,
        finding::{Finding, Style, commands, render},
        load_all,
        loaded::LoadedScenario,
        select::{Filter, SelectError, is_bench},
    },
};

/// Loads the scenarios that the arguments name; all of `suites/` (or its built-in copy) if there
/// are none.
///
/// # Errors
/// An argument that names nothing is wrong usage.
pub fn load(args: &[PathBuf]) -> Result<ScenarioSet, CommandError> {
    let set = load_all(&Suites::open(Path::new(".")), args);
    set.map_err(|error| CommandError::usage(&error))
}

/// The scenarios of a set that match a filter. A suite is megabytes, so none is copied.
///
/// # Errors
/// Nothing matches because of a key or a value that no scenario has: that is a typo, not a choice.
pub fn filter(
    set: Vec<LoadedScenario>,
    filter: &Filter,
) -> Result<Vec<LoadedScenario>, CommandError> {
    let (expected, others): (Vec<_>, Vec<_>) = set.into_iter().partition(|one| filter.matches(one));
    if expected.is_empty() {
        let mut all = load(&[])?.scenarios;
        all.extend(others);
        filter.meaning(&all).map_err(usage)?;
    }
    Ok(expected)
}

/// Leaves out measurements beside other scenarios, unless the filter says which groups are wanted.
pub fn without_benches(mut selected: Vec<LoadedScenario>, filter: &Filter) -> Vec<LoadedScenario> {
    if !filter.names_group() && !selected.iter().all(is_bench) {
        selected.retain(|one| !is_bench(one));
    }
    selected
}

pub fn usage(error: SelectError) -> CommandError {
    CommandError::Usage(error.to_string())
}

/// The error for a set without scenarios.
pub fn nothing(set: &ScenarioSet) -> CommandError {
    let message = match set.manifests {
        0 => "no suite files found".to_owned(),
        n => format!(
            "no scenario found, only {n} with Kubernetes objects: write a scenario next to them \
             (CONTRIBUTING.md, \"A scenario in five minutes\"); its `apply: NAME` applies SCENARIO.NAME.yaml",
            n = crate::output::count(n, "file"),
        ),
    };
    CommandError::NothingSelected(message)
}

/// Returns whether any finding prevents a run.
pub fn has_errors(findings: &[Finding]) -> bool {
    findings.iter().any(Finding::is_error)
}

/// Prints findings on stderr: drawn for a terminal, otherwise one line each.
pub fn print_findings(findings: &[Finding], color: Option<ColorChoice>) {
    let on = Palette::stderr(color).on;
    let text = render(findings, style(io::stderr().is_terminal(), on));
    text.lines().for_each(output::say);
    annotate(findings);
}

/// How findings are drawn on a stream.
pub fn style(is_terminal: bool, colour: bool) -> Style {
    match (is_terminal, colour) {
        (_, true) => Style::Colour,
        (true, false) => Style::Monochrome,
        (false, false) => Style::Plain,
    }
}

/// GitHub Actions shows findings at their lines; it reads stderr as well.
pub fn annotate(findings: &[Finding]) {
    if github_actions() {
        commands(findings).lines().for_each(output::command);
    }
}
