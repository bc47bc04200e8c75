//! How the directories and files of a report are made.

use std::{fs::DirBuilder, io, os::unix::fs::DirBuilderExt as _, path::Path};

/// Mode of the directories of a report, before the umask: evidence is for those who may read the
/// run's.
pub const DIR_MODE: u32 = 0o750;
/// Mode of the files of a report, before the umask.
pub const FILE_MODE: u32 = 0o640;

/// Makes a directory of a report, and those above it.
///
/// # Errors
/// It can't be made.
pub fn make(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir)
}
