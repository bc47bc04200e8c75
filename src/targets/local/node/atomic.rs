//! Directories whose files all change at once, as the kubelet lays them out.
//!
//! The files are in a directory with a unique name, `..data` is a link to it, and every visible
//! name is a link through `..data`. Renaming a new `..data` over the old one swaps everything,
//! and programs that watch `..data` notice.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::{Component, Path},
    sync::atomic::{AtomicU64, Ordering},
};

use super::volumes::Files;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// Makes `dir` hold exactly `files`, readable by `group` if given. Returns whether anything
/// changed.
pub(super) fn publish(dir: &Path, files: &Files, group: Option<u32>) -> io::Result<bool> {
    let data = dir.join("..data");
    let old = fs::read_link(&data).ok();
    if old.as_ref().is_some_and(|old| holds(&dir.join(old), files)) {
        return Ok(false);
    }
    let stamp = jiff::Timestamp::now().strftime("%Y_%m_%d_%H_%M_%S");
    let name = format!("..{stamp}.{}", NEXT.fetch_add(1, Ordering::Relaxed));
    write_all(&dir.join(&name), files, group)?;
    let fresh = dir.join("..data_tmp");
    let _ = fs::remove_file(&fresh);
    symlink(&name, &fresh)?;
    fs::rename(&fresh, &data)?;
    link_names(dir, files)?;
    if let Some(old) = old {
        fs::remove_dir_all(dir.join(old))?;
    }
    Ok(true)
}

fn holds(dir: &Path, files: &Files) -> bool {
    count(dir) == files.len()
        && files.iter().all(|(path, file)| {
            fs::read(dir.join(path)).is_ok_and(|contents| contents == file.contents)
        })
}

fn count(dir: &Path) -> usize {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            if entry.path().is_dir() {
                count(&entry.path())
            } else {
                1
            }
        })
        .sum()
}

fn write_all(dir: &Path, files: &Files, group: Option<u32>) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
    for (path, file) in files {
        if Path::new(path)
            .components()
            .any(|part| !matches!(part, Component::Normal(_)))
        {
            return Err(io::Error::other(format!(
                "{path:?} leads outside the volume"
            )));
        }
        let place = dir.join(path);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&place, &file.contents)?;
        let mut mode = file.mode;
        if let Some(group) = group {
            chown(&place, None, Some(group))?;
            mode |= 0o440;
        }
        fs::set_permissions(&place, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// Creates a link for every first component, and removes links whose target no longer exists.
fn link_names(dir: &Path, files: &Files) -> io::Result<()> {
    let first = |path: &String| path.split('/').next().unwrap_or_default().to_owned();
    let names: BTreeSet<String> = files.keys().map(first).collect();
    for name in &names {
        let link = dir.join(name);
        if fs::symlink_metadata(&link).is_err() {
            symlink(Path::new("..data").join(name), link)?;
        }
    }
    for entry in fs::read_dir(dir)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") && !names.contains(&name) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::local::node::volumes::VolumeFile;

    fn files(pairs: &[(&str, &str)]) -> Files {
        pairs
            .iter()
            .map(|(path, text)| {
                (
                    (*path).to_owned(),
                    VolumeFile {
                        mode: 0o644,
                        contents: text.as_bytes().to_vec(),
                    },
                )
            })
            .collect()
    }

    #[test]
    fn files_are_swapped_together_and_old_ones_vanish() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        assert!(publish(dir, &files(&[("a", "1"), ("d/b", "2"), ("old", "x")]), None).unwrap());
        let before = fs::read_link(dir.join("..data")).unwrap();
        assert_eq!(fs::read_to_string(dir.join("d/b")).unwrap(), "2");
        assert!(publish(dir, &files(&[("a", "3"), ("new", "4")]), None).unwrap());
        assert_eq!(fs::read_to_string(dir.join("a")).unwrap(), "3");
        assert_eq!(fs::read_to_string(dir.join("new")).unwrap(), "4");
        assert!(
            fs::symlink_metadata(dir.join("old")).is_err()
                && fs::symlink_metadata(dir.join("d")).is_err()
        );
        assert!(!dir.join(before).exists());
    }

    #[test]
    fn the_same_files_are_not_written_again() {
        let dir = tempfile::tempdir().unwrap();
        assert!(publish(dir.path(), &files(&[("a", "1")]), None).unwrap());
        let before = fs::read_link(dir.path().join("..data")).unwrap();
        assert!(!publish(dir.path(), &files(&[("a", "1")]), None).unwrap());
        assert_eq!(fs::read_link(dir.path().join("..data")).unwrap(), before);
        assert!(publish(dir.path(), &files(&[]), None).unwrap());
    }

    #[test]
    fn a_path_may_not_leave_the_volume() {
        let dir = tempfile::tempdir().unwrap();
        assert!(publish(dir.path(), &files(&[("../x", "1")]), None).is_err());
    }
}
