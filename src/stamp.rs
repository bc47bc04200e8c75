//! Which build of this program runs.

use std::{io, os::unix::fs::MetadataExt as _, path::Path};

/// Size and modification time of a file: enough to notice another build.
///
/// # Errors
/// The file cannot be read.
pub fn of(file: &Path) -> io::Result<String> {
    let meta = std::fs::metadata(file)?;
    let (bytes, seconds, part) = (meta.len(), meta.mtime(), meta.mtime_nsec());
    Ok(format!("{bytes} {seconds}.{part:09}"))
}

/// The same for this program.
///
/// # Errors
/// Its file cannot be read.
pub fn of_this_program() -> io::Result<String> {
    of(&std::env::current_exe()?)
}
