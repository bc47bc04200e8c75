//! Finds programs as a shell does.

use std::{
    env,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// The program of this name in PATH; a name with a slash is a file. `None` if it does not exist or
/// is not executable.
pub fn on_path(name: &Path) -> Option<PathBuf> {
    if name.components().count() > 1 {
        return is_program(name).then(|| name.to_owned());
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    file.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_by_name_and_by_path() {
        let sh = on_path(Path::new("sh")).expect("sh is in PATH");
        assert_eq!(on_path(&sh), Some(sh));
        assert_eq!(on_path(Path::new("no-such-program")), None);
        assert_eq!(on_path(Path::new("./Cargo.toml")), None);
    }
}
