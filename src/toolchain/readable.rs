//! Makes cached programs accessible to all users: a pod's user is not the owner of the cache.

use std::{fs, io, os::unix::fs::PermissionsExt as _, path::Path};

/// Makes all files below `root` world-readable, and those that the owner may execute
/// world-executable, whatever the umask was at their creation. The directories above `root` decide
/// who can reach it.
///
/// # Errors
/// A file whose mode is too narrow and cannot be changed.
pub(super) fn for_everybody(root: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(root)?;
    if meta.is_symlink() {
        return Ok(());
    }
    let mode = meta.permissions().mode() & 0o7777;
    let executable = meta.is_dir() || mode & 0o100 != 0;
    let expected = mode | if executable { 0o555 } else { 0o444 };
    if expected != mode {
        fs::set_permissions(root, fs::Permissions::from_mode(expected))?;
    }
    if meta.is_dir() {
        for child in fs::read_dir(root)? {
            for_everybody(&child?.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_umask_is_undone_for_programs_and_data() {
        let root = tempfile::tempdir().unwrap();
        let (dir, program, data) = (
            root.path().join("d"),
            root.path().join("d/program"),
            root.path().join("d/data"),
        );
        fs::create_dir(&dir).unwrap();
        for (path, mode) in [(&program, 0o700), (&data, 0o600)] {
            fs::write(path, "x").unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::symlink("/nowhere", dir.join("link")).unwrap();
        for_everybody(root.path()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode(&dir), mode(&program), mode(&data)),
            (0o755, 0o755, 0o644)
        );
    }
}
