//! The tables of docs/scenario-format.md are generated from the matchers' own documentation.

use super::{registry::FORMS, spec::Form};
use crate::text::assert_in_page;

const PAGE: &str = "docs/scenario-format.md";

fn rows(statistical: bool) -> impl Iterator<Item = &'static Form> {
    let chosen = FORMS
        .iter()
        .filter(move |(_, kind, _)| *kind == statistical);
    chosen.flat_map(|(_, _, forms)| forms.iter())
}

fn exact() -> String {
    let rows = rows(false).map(|row| format!("| {} | {} |\n", row.form, row.holds));
    format!(
        "| matcher | holds when |\n|---|---|\n{}",
        rows.collect::<String>()
    )
}

fn statistical() -> String {
    let rows = rows(true).map(|row| format!("| {} | {} | {} |\n", row.form, row.holds, row.calls));
    format!(
        "| matcher | test | calls |\n|---|---|---|\n{}",
        rows.collect::<String>()
    )
}

#[test]
fn the_page_lists_every_matcher() {
    assert_in_page(PAGE, "matchers", &exact());
    assert_in_page(PAGE, "statistical matchers", &statistical());
}

#[test]
fn every_row_begins_with_its_matcher() {
    for (name, statistical, forms) in FORMS {
        let first = forms.first().unwrap_or_else(|| panic!("{name} has no row"));
        assert!(
            first.form.starts_with(&format!("`{name}")),
            "{name}: {}",
            first.form
        );
        for row in *forms {
            assert_eq!(*statistical, !row.calls.is_empty(), "{name}: {}", row.form);
        }
    }
}
