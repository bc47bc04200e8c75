//! Comments are as narrow as code, so that both can be read side by side.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Maximum width, the same as that of `rustfmt` for code.
const WIDTH: usize = 100;

/// Tables are as wide as their rows, and a URL cannot be broken.
fn may_be_wide(comment: &str) -> bool {
    let text = comment.trim_start_matches(['/', '!']).trim_start();
    text.starts_with('|') || text.contains("://")
}

/// Collects the Rust files in and below a folder.
pub(super) fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the tree") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// Numbers of the lines of a file that are too wide.
fn wide_lines(text: &str) -> Vec<usize> {
    let lines = text.lines().enumerate();
    let wide = lines.filter(|(_, line)| {
        let comment = line.trim_start();
        comment.starts_with("//") && line.chars().count() > WIDTH && !may_be_wide(comment)
    });
    wide.map(|(at, _)| at + 1).collect()
}

#[test]
fn comments_are_no_wider_than_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests", "fixtures/testbed"] {
        sources(&root.join(folder), &mut files);
    }
    assert!(files.len() > 400, "only {} files found", files.len());
    let mut wide = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).expect("a source file");
        let lines = wide_lines(&text).into_iter();
        wide.extend(lines.map(|line| format!("{}:{line}", path.display())));
    }
    assert!(
        wide.is_empty(),
        "comments wider than {WIDTH} columns:\n{}",
        wide.join("\n")
    );
}

#[test]
fn tables_and_addresses_may_be_wide_and_nothing_else() {
    let long = "x".repeat(WIDTH);
    let text = format!("// {long}\n//! | {long} |\n/// https://{long}\n{long}\n    /// {long}");
    assert_eq!(wide_lines(&text), [1, 5]);
}
