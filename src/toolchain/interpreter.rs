//! The host's Python with all that it needs to run, for images without the host's other programs.
//!
//! On the local node, a container sees all of the host's `/usr`. An image that is copied to other
//! nodes gets only the interpreter, its standard library and the shared libraries that these are
//! linked against: 60 MB instead of gigabytes.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use super::{grpcio::INTERPRETER, images::TreeEntry};

/// The interpreter, its standard library, and the shared libraries of both and of `packages`, at
/// the host's paths.
///
/// # Errors
/// The interpreter or `ldd` does not run, or a directory cannot be read.
pub(super) fn alone(packages: &Path) -> io::Result<Vec<TreeEntry>> {
    let library = standard_library()?;
    let mut linked = vec![PathBuf::from(INTERPRETER)];
    extensions(&library, &mut linked)?;
    extensions(packages, &mut linked)?;
    let answer = answer(Command::new("ldd").args(&linked))?;
    let mut tree = vec![
        TreeEntry::bind(fs::canonicalize(INTERPRETER)?, INTERPRETER),
        TreeEntry::bind(&library, &library),
    ];
    tree.extend(
        libraries(&answer)
            .into_iter()
            .map(|path| TreeEntry::bind(path, path)),
    );
    Ok(tree)
}

fn standard_library() -> io::Result<PathBuf> {
    let ask = "import sysconfig; print(sysconfig.get_path('stdlib'))";
    let answer = answer(Command::new(INTERPRETER).args(["-c", ask]))?;
    Ok(PathBuf::from(answer.trim()))
}

/// Adds the shared libraries below `dir`.
fn extensions(dir: &Path, to: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
        if kind.is_dir() {
            extensions(&path, to)?;
        } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "so") {
            to.push(path);
        }
    }
    Ok(())
}

/// Files in the output of `ldd`: `libz.so.1 => /lib/libz.so.1 (0x…)`, and the loader without an
/// arrow. Missing libraries are skipped: only the module that needs one is unusable.
fn libraries(answer: &str) -> BTreeSet<&Path> {
    let lines = answer.lines().filter(|line| line.starts_with('\t'));
    let named = lines.filter_map(|line| {
        let line = line.split_once(" (0x")?.0.trim();
        Some(line.split_once(" => ").map_or(line, |(_, path)| path))
    });
    named
        .map(Path::new)
        .filter(|path| path.is_absolute())
        .collect()
}

fn answer(command: &mut Command) -> io::Result<String> {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output()?;
    // ldd fails if one of the files is not dynamically linked, but still lists the others.
    if status.success() || !stdout.is_empty() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    let program = command.get_program().display();
    let message = String::from_utf8_lossy(&stderr);
    Err(io::Error::other(format!(
        "{program} failed with {status}: {}",
        message.trim()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ldd_is_read() {
        let answer = "/usr/bin/python3:\n\tlinux-vdso.so.1 (0x00007f)\n\tlibz.so.1 => /lib/libz.so.1 (0x00007f)\n\
                    \tlibgone.so => not found\n\t/lib64/ld-linux.so.2 (0x00007f)\na.so:\n\tstatically linked\n";
        let found: Vec<_> = libraries(answer).into_iter().collect();
        assert_eq!(
            found,
            [
                Path::new("/lib/libz.so.1"),
                Path::new("/lib64/ld-linux.so.2")
            ]
        );
    }

    #[test]
    fn the_interpreter_comes_with_its_loader_and_library() {
        if !Path::new(INTERPRETER).exists() {
            return;
        }
        let packages = tempfile::tempdir().unwrap();
        let tree = alone(packages.path()).unwrap();
        let at = |part: &str| {
            let mut paths = tree.iter().map(TreeEntry::at);
            paths.any(|path| path.to_string_lossy().contains(part))
        };
        assert!(at(INTERPRETER) && at("/lib/python3"), "{tree:?}");
        assert!(at("/libc.") || at("/ld-musl"), "{tree:?}");
    }
}
