//! Modes of the directories and files of a report.

use std::{fs::DirBuilder, io, os::unix::fs::DirBuilderExt as _, path::Path};

/// Mode of the directories of a report, before the umask: only the user and the group of the run
/// may read evidence.
pub const DIR_MODE: u32 = 0o750;
/// Mode of the files of a report, before the umask.
pub const FILE_MODE: u32 = 0o640;

/// Creates a directory of a report and its parents.
///
/// # Errors
/// The directory cannot be created.
pub fn make(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir)
}
