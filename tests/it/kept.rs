//! Files that are made from code and kept beside it. `INSTA_UPDATE=always cargo test`, which writes
//! snapshots anew, does the same with them.

use std::{env, fs, path::Path};

/// The file, by its path from the root of the repository, has this text.
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
            || "they have not the same length".to_owned(),
            |(at, (kept, current))| format!("line {}: {kept:?} should be {current:?}", at + 1),
        )
    };
    assert!(
        kept == current,
        "{path} is not what the code makes ({}): write it anew with INSTA_UPDATE=always",
        differs()
    );
}
