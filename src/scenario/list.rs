//! Lists of scenarios: one line per scenario, requirement or behaviour.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Serialize;

use super::{
    dialect::{self, Dialect},
    loaded::LoadedScenario,
    requirements::REQUIREMENTS,
};
use crate::output::clean_line;

/// One element of `list -o json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    pub id: String,
    pub title: String,
    pub area: String,
    pub proves: Vec<String>,
    pub needs: Vec<String>,
    /// Used by `list --by dialect` only.
    #[serde(skip)]
    pub dialect: Dialect,
}

/// One element per scenario, in the given order.
pub fn list(scenarios: &[LoadedScenario]) -> Vec<Listed> {
    let listed = scenarios.iter().map(|loaded| Listed {
        id: loaded.id.clone(),
        title: loaded.scenario.title.clone(),
        area: loaded.area.clone(),
        proves: loaded.scenario.proves.clone(),
        needs: loaded.scenario.needs.clone(),
        dialect: loaded.dialect,
    });
    listed.collect()
}

/// Two columns, ids aligned.
pub fn list_text(listed: &[Listed]) -> String {
    let width = listed.iter().map(|one| one.id.len()).max().unwrap_or(0);
    let lines = listed
        .iter()
        .map(|one| format!("{:width$}  {}\n", one.id, clean_line(&one.title)));
    lines.collect()
}

/// One row of `list --by requirement`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequirementRow {
    pub requirement: &'static str,
    pub behaviour: &'static str,
    /// Ids of the scenarios that prove it.
    pub scenarios: Vec<String>,
}

/// Every requirement, including those without a scenario.
pub fn by_requirement(listed: &[Listed]) -> Vec<RequirementRow> {
    let mut proved: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for one in listed {
        for row in &one.proves {
            proved.entry(row).or_default().push(one.id.clone());
        }
    }
    let rows = REQUIREMENTS
        .iter()
        .map(|(requirement, behaviour)| RequirementRow {
            requirement,
            behaviour,
            scenarios: proved.remove(requirement).unwrap_or_default(),
        });
    rows.collect()
}

/// The table with a count at its end.
pub fn by_requirement_text(rows: &[RequirementRow]) -> String {
    let mut text = String::new();
    for row in rows {
        let scenarios = match row.scenarios.as_slice() {
            [] => "(none)".to_owned(),
            some => some.join(", "),
        };
        let _ = writeln!(
            text,
            "{:4} {:62} {scenarios}",
            row.requirement, row.behaviour
        );
    }
    let covered = rows.iter().filter(|row| !row.scenarios.is_empty()).count();
    let _ = writeln!(
        text,
        "{covered} of {} requirements have a scenario",
        rows.len()
    );
    text
}

/// One row of `list --by dialect`: a behaviour and the dialects that verify it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DialectRow {
    pub behaviour: String,
    pub dialects: Vec<Dialect>,
}

/// Every behaviour that is verified with Gateway API objects, with all its dialects.
pub fn by_dialect(listed: &[Listed]) -> Vec<DialectRow> {
    let mut found: BTreeMap<&str, Vec<Dialect>> = BTreeMap::new();
    for one in listed {
        let (behaviour, _) = dialect::split(&one.id);
        found.entry(behaviour).or_default().push(one.dialect);
    }
    let rows = found.into_iter().map(|(behaviour, mut dialects)| {
        dialects.sort_unstable();
        DialectRow {
            behaviour: behaviour.to_owned(),
            dialects,
        }
    });
    rows.filter(|row| row.dialects.contains(&Dialect::GatewayApi))
        .collect()
}

/// A Markdown table, as in the documentation.
pub fn by_dialect_text(rows: &[DialectRow]) -> String {
    let mut text = "| behaviour | Istio | Gateway API |\n|---|---|---|\n".to_owned();
    for row in rows {
        let word = |dialect| match row.dialects.contains(&dialect) {
            true => "yes",
            false => "–",
        };
        let (istio, gateway_api) = (word(Dialect::Istio), word(Dialect::GatewayApi));
        let _ = writeln!(text, "| `{}` | {istio} | {gateway_api} |", row.behaviour);
    }
    text
}
