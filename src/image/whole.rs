//! Files that are created atomically.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use super::{ArchiveError, error::unwritable};

/// Lets `write` fill a temporary file next to `to`, then renames it to `to`. On failure, it is
/// removed.
pub(super) fn whole<T>(
    to: &Path,
    write: impl FnOnce(File) -> Result<T, ArchiveError>,
) -> Result<T, ArchiveError> {
    let mut unfinished = to.as_os_str().to_owned();
    unfinished.push(".partial");
    let unfinished = PathBuf::from(unfinished);
    let file = File::create(&unfinished).map_err(|source| unwritable(to, source))?;
    let done = write(file).and_then(|done| {
        fs::rename(&unfinished, to).map_err(|source| unwritable(to, source))?;
        Ok(done)
    });
    if done.is_err() {
        let _ = fs::remove_file(&unfinished); // the first error is the one to report
    }
    done
}
