//! Tables of documentation pages that are made of what the code says of itself.

use std::{fs, path::Path};

/// Set, tests write the tables instead of comparing them.
const UPDATE: &str = "UPDATE_DOCS";

/// A page has this table between the two comments that name it (`<!-- NAME -->` and `<!-- /NAME
/// -->`).
pub fn assert_in_page(page: &str, name: &str, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = fs::read_to_string(&path).expect("the page");
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (before, rest) = text.split_once(&open).expect("the table's place begins");
    let (is, after) = rest.split_once(&close).expect("the table's place ends");
    if std::env::var_os(UPDATE).is_some() {
        let made = format!("{before}{open}{table}{close}{after}");
        fs::write(&path, made).expect("the page is written");
    } else {
        assert!(
            is == table,
            "the table '{name}' of {page} is old: run the tests once with {UPDATE}=1 --test-threads=1"
        );
    }
}
