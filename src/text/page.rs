//! Tables of documentation pages that are made of what the code says of itself.

use std::{env, fs, path::Path, sync::Mutex};

/// Tests run side by side, and several tables may stand in one page.
static PAGES: Mutex<()> = Mutex::new(());

/// A page has this table between the two comments that name it (`<!-- NAME -->` and
/// `<!-- /NAME -->`). `INSTA_UPDATE=always cargo test`, which writes snapshots anew, writes it.
pub fn assert_in_page(page: &str, name: &str, table: &str) {
    let _page = PAGES.lock();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = fs::read_to_string(&path).expect("the page");
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (before, rest) = text.split_once(&open).expect("the table's place begins");
    let (is, after) = rest.split_once(&close).expect("the table's place ends");
    if env::var("INSTA_UPDATE").is_ok_and(|mode| mode == "always") {
        let made = format!("{before}{open}{table}{close}{after}");
        fs::write(&path, made).expect("the page is written");
    } else {
        assert!(
            is == table,
            "the table '{name}' of {page} is not what the code says: write it anew with INSTA_UPDATE=always"
        );
    }
}
