//! `meshproof lint PATH…`.

use std::collections::BTreeSet;
use std::path::Path;

use super::{CommandError, selected};
use crate::cli::{GlobalArgs, LintArgs};
use crate::exit::Exit;
use crate::fixture::files;
use crate::output;
use crate::scenario::known::{KnownFile, load_known};
use crate::scenario::lint::{Context, lint_all};
use crate::scenario::parse::LoadedSet;
use crate::scenario::{Finding, Suites};
use crate::verdict::Rates;

/// 0 when nothing is found, 2 when something is, 4 when there was nothing to look at.
pub fn run(args: &LintArgs, global: &GlobalArgs) -> Result<Exit, CommandError> {
    let mut set = selected::load(&args.paths)?;
    // Lists of known failures speak about the suites as a whole.
    let whole = args.paths.iter().any(|path| path.ends_with("suites"));
    let mut known = Vec::new();
    if whole {
        let suites = Suites::open(Path::new("."));
        let (files, findings) = load_known(&suites.tree).map_err(CommandError::other)?;
        set.findings.extend(findings);
        known = files;
    }
    if set.scenarios.is_empty() && set.findings.is_empty() {
        return Err(CommandError::NothingSelected(
            "there are no suite files".into(),
        ));
    }
    let findings = findings(&set, &known);
    selected::tell(&findings, global.color);
    let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    output::say(&format!(
        "{}, {}",
        plural(set.scenarios.len(), "scenario"),
        plural(findings.len(), "finding")
    ));
    Ok(if findings.is_empty() {
        Exit::Ok
    } else {
        Exit::Usage
    })
}

/// Everything that is wrong with loaded files; a run does not start while there is anything.
pub fn findings(set: &LoadedSet, known: &[KnownFile]) -> Vec<Finding> {
    let context = Context::new(Rates::default(), Some(shared_workloads(set)));
    lint_all(set, known, &context)
}

/// The workload files that scenarios name and that are there for all of them.
fn shared_workloads(set: &LoadedSet) -> BTreeSet<String> {
    let used = set
        .scenarios
        .iter()
        .flat_map(|loaded| &loaded.scenario.world);
    used.map(|workload| workload.uses.clone())
        .filter(|uses| files::shared(uses).is_ok())
        .collect()
}
