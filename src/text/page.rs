//! Documentation tables that are generated from the code.

use std::{env, fs, path::Path, sync::Mutex};

/// Tests run in parallel, and a page may have several tables.
static PAGES: Mutex<()> = Mutex::new(());

/// Asserts that a page has this table between the comments `<!-- NAME -->` and `<!-- /NAME -->`.
/// `INSTA_UPDATE=always cargo test`, which updates snapshots, writes it.
pub fn assert_in_page(page: &str, name: &str, table: &str) {
    let _page = PAGES.lock();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = fs::read_to_string(&path).expect("the page");
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (before, rest) = text.split_once(&open).expect("the table's opening comment");
    let (is, after) = rest
        .split_once(&close)
        .expect("the table's closing comment");
    if env::var("INSTA_UPDATE").is_ok_and(|mode| mode == "always") {
        let made = format!("{before}{open}{table}{close}{after}");
        fs::write(&path, made).expect("the page is written");
    } else {
        assert!(
            is == table,
            "the table '{name}' of {page} is out of date: update it with INSTA_UPDATE=always"
        );
    }
}
