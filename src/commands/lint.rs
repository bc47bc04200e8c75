//! `meshproof lint PATH…`.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

use super::{CommandError, selection};
use crate::{
    cli::{GlobalArgs, LintArgs},
    exit::Exit,
    output::{self, Format, Palette, count},
    plan::lint::{LintContext, lint_all},
    scenario::{
        Finding, ScenarioSet, Tree,
        finding::render,
        known::{KnownFile, load_known},
        load::KNOWN_FOLDER,
        workload_file,
    },
    verdict::Rates,
};

/// Exit code 0 if nothing is wrong, 2 if something is, 4 if there was nothing to check. Findings
/// are data: they go to stdout.
pub fn run(args: &LintArgs, global: &GlobalArgs) -> Result<Exit, CommandError> {
    let mut set = selection::load(&args.paths)?;
    let (known, wrong) = lists(&args.paths);
    set.findings.extend(wrong);
    if set.scenarios.is_empty() && set.findings.is_empty() {
        return Err(selection::nothing(&set));
    }
    let findings = findings(&set, &known);
    let printed = match args.output {
        Format::Json => output::json(&findings),
        Format::Text => {
            let colour = Palette::stdout(global.color).on;
            let style = selection::style(io::stdout().is_terminal(), colour);
            output::data(&render(&findings, style))
        }
    };
    printed.map_err(CommandError::Stdout)?;
    selection::annotate(&findings);
    let wrong = findings.iter().filter(|finding| finding.is_error()).count();
    let notes = match findings.len() - wrong {
        0 => String::new(),
        notes => format!(", {}", count(notes, "warning")),
    };
    output::say(&format!(
        "{}, {}{notes}",
        count(set.scenarios.len(), "scenario"),
        count(wrong, "finding"),
    ));
    Ok(if wrong == 0 { Exit::Ok } else { Exit::Usage })
}

/// Lists of expected failures apply to a suite as a whole: they are checked if its root is named.
fn lists(args: &[PathBuf]) -> (Vec<KnownFile>, Vec<Finding>) {
    let (mut known, mut findings) = (Vec::new(), Vec::new());
    for word in args.iter().filter(|word| word.join(KNOWN_FOLDER).is_dir()) {
        let (lists, wrong) = load_known(&Tree::Disk(word.clone()));
        known.extend(lists);
        findings.extend(wrong);
    }
    (known, findings)
}

/// All findings in loaded files; a run does not start while any of them is an error.
pub fn findings(set: &ScenarioSet, known: &[KnownFile]) -> Vec<Finding> {
    let context = LintContext::new(Rates::default(), Some(shared_workloads(set)));
    lint_all(set, known, &context)
}

/// The built-in workload files, and the shared ones that scenarios use.
fn shared_workloads(set: &ScenarioSet) -> BTreeSet<String> {
    let used = set
        .scenarios
        .iter()
        .flat_map(|loaded| &loaded.scenario.workloads);
    let used: BTreeSet<&String> = used.map(|workload| &workload.template).collect();
    let mut found: BTreeSet<String> = workload_file::built_in().map(str::to_owned).collect();
    found.extend(
        used.into_iter()
            .filter(|uses| workload_file::shared(uses).is_ok())
            .cloned(),
    );
    found
}
