//! The tables of docs/scenario-format.md are made of what each matcher says of itself.

use std::{fs, path::Path};

use super::{registry::FORMS, spec::Form};

const PAGE: &str = "docs/scenario-format.md";
/// Set, the test writes the tables instead of comparing them.
const UPDATE: &str = "UPDATE_DOCS";

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

/// The page with a table in its place, which is between the two comments that name it.
fn with(page: &str, name: &str, table: &str) -> String {
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (before, rest) = page.split_once(&open).expect("the table's place begins");
    let (_, after) = rest.split_once(&close).expect("the table's place ends");
    format!("{before}{open}{table}{close}{after}")
}

#[test]
fn the_page_lists_every_matcher() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = fs::read_to_string(&path).expect("the page");
    let made = with(&page, "matchers", &exact());
    let made = with(&made, "statistical matchers", &statistical());
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, made).expect("the page is written");
    } else {
        assert!(
            made == page,
            "{PAGE} is old: run this test with {UPDATE}=1 set"
        );
    }
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
