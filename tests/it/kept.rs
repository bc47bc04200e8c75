//! Files that are generated from code and kept beside it. Like snapshots, they are rewritten by
//! `INSTA_UPDATE=always cargo test`.

use std::{env, fs, path::Path};

/// Checks that the file, given by its path from the root of the repository, has this text.
pub fn file(path: &str, current: &str) {
    let at = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if env::var("INSTA_UPDATE").is_ok_and(|mode| mode == "always") {
        fs::write(&at, current).expect("it can be written");
    }
    let kept = fs::read_to_string(&at).unwrap_or_default();
    let differs = || {
        let lines = kept.lines().zip(current.lines()).enumerate();
        let mut differing = lines.filter(|(_, (kept, current))| kept != current);
        differing.next().map_or_else(
            || "their lengths differ".to_owned(),
            |(at, (kept, current))| format!("line {}: {kept:?} should be {current:?}", at + 1),
        )
    };
    assert!(
        kept == current,
        "{path} differs from what the code generates ({}): rewrite it with INSTA_UPDATE=always",
        differs()
    );
}
