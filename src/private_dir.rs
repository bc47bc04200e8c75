//! Directories that belong to this user alone, so that no other user can have put anything into
//! them.
//!
//! State that is trusted later (kubeconfigs, names of programs to start, sockets, process ids) is
//! only kept below such a directory. A name that anyone can create beforehand, as in `/tmp`, is
//! never trusted.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use nix::unistd::{Gid, Uid, User};

use crate::errors::{Classified, ErrorClass, chain};

/// Mode bits that let the group or everyone write.
const GROUP_WRITES: u32 = 0o020;
const ALL_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// An error using a directory, with a remedy.
#[derive(Debug, thiserror::Error)]
pub enum NotPrivate {
    /// Another user may have created it, or can write to it.
    #[error("{path} is not used because {why}; {help}")]
    Foreign {
        path: PathBuf,
        why: String,
        help: String,
    },
    /// It cannot be created or read.
    #[error("cannot use {path} as a directory")]
    Io { path: PathBuf, source: io::Error },
    /// This user has no private directory.
    #[error(
        "no private directory of this user to use: {tried}; create one (mode 0700) and set {variable} to it"
    )]
    Nowhere {
        tried: String,
        variable: &'static str,
    },
}

impl Classified for NotPrivate {
    fn class(&self) -> ErrorClass {
        ErrorClass::Machine
    }
}

/// Why a directory is not trusted, with the part of its path that is concerned.
#[derive(Debug, thiserror::Error)]
pub enum Untrusted {
    #[error("{}", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is not a directory", .path.display())]
    NoDirectory { path: PathBuf },
    #[error("{} belongs to user {user}", .path.display())]
    Foreign { path: PathBuf, user: u32 },
    #[error("{} is writable by everyone", .path.display())]
    OpenToAll { path: PathBuf },
    #[error("{} is writable by group {group}", .path.display())]
    OpenToGroup { path: PathBuf, group: u32 },
}

impl Untrusted {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// Creates `parent/names…` with mode 0700 where it does not exist, and checks that it belongs to
/// this user alone. `parent` must exist and be trustworthy: see [`trusted`].
///
/// # Errors
/// [`NotPrivate`]: a part is a symbolic link, not a directory, another user's, or writable by
/// others.
pub fn make(parent: &Path, names: &[&str]) -> Result<PathBuf, NotPrivate> {
    let mut path = parent.to_owned();
    for name in names {
        path.push(name);
        let made = fs::DirBuilder::new().mode(0o700).create(&path);
        match made {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(NotPrivate::Io {
                    path,
                    source: error,
                });
            }
            _ => own(&path)?,
        }
    }
    Ok(path)
}

/// Checks that the directory at `path` belongs to this user alone, without following a link, and
/// removes all permissions of others.
///
/// # Errors
/// [`NotPrivate`], as for [`make`].
pub fn own(path: &Path) -> Result<(), NotPrivate> {
    let io = |source| NotPrivate::Io {
        path: path.to_owned(),
        source,
    };
    let meta = fs::symlink_metadata(path).map_err(io)?;
    let me = Uid::effective().as_raw();
    let why = if meta.file_type().is_symlink() {
        Some("it is a symbolic link".to_owned())
    } else if !meta.is_dir() {
        Some("it is not a directory".to_owned())
    } else if meta.uid() != me {
        Some(format!("it belongs to user {} and not to {me}", meta.uid()))
    } else if meta.mode() & (GROUP_WRITES | ALL_WRITE) != 0 {
        Some(format!(
            "others can write to it (mode {:04o})",
            meta.mode() & 0o7777
        ))
    } else {
        None
    };
    if let Some(why) = why {
        return Err(NotPrivate::Foreign {
            path: path.to_owned(),
            why,
            help: "check its contents, then remove it".to_owned(),
        });
    }
    if meta.mode() & 0o777 != 0o700 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(io)?;
    }
    Ok(())
}

/// Returns the real path of an existing directory if only root and this user can change what it or
/// any part of its path leads to.
///
/// # Errors
/// [`Untrusted`], for the first part that is not trusted.
pub fn trusted(dir: &Path) -> Result<PathBuf, Untrusted> {
    let real = fs::canonicalize(dir).map_err(Untrusted::io(dir))?;
    let me = Uid::effective().as_raw();
    let look = |path: &Path| fs::symlink_metadata(path).map_err(Untrusted::io(path));
    // Where root itself is not mapped (user namespaces), use the owner of / in its stead.
    let root = look(Path::new("/"))?.uid();
    for part in real.ancestors() {
        let meta = look(part)?;
        let path = part.to_owned();
        if !meta.is_dir() {
            return Err(Untrusted::NoDirectory { path });
        }
        if ![0, me, root].contains(&meta.uid()) {
            let user = meta.uid();
            return Err(Untrusted::Foreign { path, user });
        }
        let last = part == real;
        let sticky = meta.mode() & STICKY != 0 && !last;
        let own_group = [0, Gid::effective().as_raw()].contains(&meta.gid()) && !last;
        if meta.mode() & ALL_WRITE != 0 && !sticky {
            return Err(Untrusted::OpenToAll { path });
        }
        if meta.mode() & GROUP_WRITES != 0 && !sticky && !own_group {
            let group = meta.gid();
            return Err(Untrusted::OpenToGroup { path, group });
        }
    }
    Ok(real)
}

/// Like [`trusted`], for a directory that this user must own.
///
/// # Errors
/// As [`trusted`].
pub fn trusted_own(dir: &Path) -> Result<PathBuf, Untrusted> {
    let path = trusted(dir)?;
    let user = fs::symlink_metadata(&path).map_err(Untrusted::io(&path))?;
    let user = user.uid();
    if user == Uid::effective().as_raw() {
        Ok(path)
    } else {
        Err(Untrusted::Foreign { path, user })
    }
}

/// The user's home directory: `$HOME` if it is an absolute path, else the one in the user
/// database.
pub fn home() -> Option<PathBuf> {
    let given = variable("HOME");
    given.or_else(|| Some(User::from_uid(Uid::effective()).ok()??.dir))
}

/// The value of a variable if it is an absolute path (XDG base directory specification: other
/// values are ignored).
pub fn variable(name: &str) -> Option<PathBuf> {
    let value: OsString = std::env::var_os(name)?;
    Some(PathBuf::from(value)).filter(|path| path.is_absolute())
}

/// `names` below the user's state home, `$XDG_STATE_HOME` or `~/.local/state`, created where
/// missing.
///
/// # Errors
/// [`NotPrivate`].
pub fn in_state_home(names: &[&str]) -> Result<PathBuf, NotPrivate> {
    const VARIABLE: &str = "XDG_STATE_HOME";
    let nowhere = |tried: String| NotPrivate::Nowhere {
        tried,
        variable: VARIABLE,
    };
    let untrusted = |why: Untrusted| nowhere(chain(&why));
    if let Some(given) = variable(VARIABLE) {
        if !given.exists() {
            let made = fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&given);
            made.map_err(|source| NotPrivate::Io {
                path: given.clone(),
                source,
            })?;
        }
        return make(&trusted_own(&given).map_err(untrusted)?, names);
    }
    let home = home().ok_or_else(|| nowhere("$HOME is not set".to_owned()))?;
    let home = trusted_own(&home).map_err(untrusted)?;
    let state = home.join(".local/state");
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&state)
        .map_err(|source| NotPrivate::Io {
            path: state.clone(),
            source,
        })?;
    make(&trusted_own(&state).map_err(untrusted)?, names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_directory_is_made_for_this_user_alone_and_found_again() {
        let root = tempfile::tempdir().unwrap();
        let made = make(root.path(), &["a", "b"]).unwrap();
        assert_eq!(made, root.path().join("a/b"));
        assert_eq!((mode(&made), mode(&root.path().join("a"))), (0o700, 0o700));
        fs::set_permissions(&made, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(make(root.path(), &["a", "b"]).unwrap(), made);
        assert_eq!(mode(&made), 0o700, "others have no access");
    }

    #[test]
    fn a_link_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let victim = root.path().join("victim");
        fs::create_dir(&victim).unwrap();
        fs::set_permissions(&victim, fs::Permissions::from_mode(0o755)).unwrap();
        symlink(&victim, root.path().join("a")).unwrap();
        let answer = make(root.path(), &["a"]).unwrap_err().to_string();
        assert!(answer.contains("it is a symbolic link"), "{answer}");
        assert_eq!(mode(&victim), 0o755, "the other directory was touched");
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let open = root.path().join("a");
        fs::create_dir(&open).unwrap();
        for bits in [0o777, 0o770, 0o1777] {
            fs::set_permissions(&open, fs::Permissions::from_mode(bits)).unwrap();
            let answer = make(root.path(), &["a"]).unwrap_err().to_string();
            assert!(answer.contains("others can write to it"), "{answer}");
            assert!(trusted(&open).is_err(), "{bits:o}");
        }
        fs::write(root.path().join("file"), "").unwrap();
        let answer = make(root.path(), &["file"]).unwrap_err().to_string();
        assert!(answer.contains("not a directory"), "{answer}");
    }

    #[test]
    fn a_directory_below_one_that_anybody_can_change_is_not_trusted() {
        let root = tempfile::tempdir().unwrap();
        let (open, inner) = (root.path().join("open"), root.path().join("open/inner"));
        fs::create_dir_all(&inner).unwrap();
        assert!(trusted_own(&inner).is_ok());
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(trusted(&inner).is_err_and(|why| why.to_string().contains("open is writable")));
        // As in /tmp: others can neither remove nor rename this user's entries.
        fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(trusted_own(&inner).is_ok());
        assert!(trusted(&open).is_err(), "anyone can create names in it");
    }

    #[test]
    fn a_directory_of_another_user_is_refused() {
        if !Uid::effective().is_root() {
            return; // only root can change the owner of files
        }
        let root = tempfile::tempdir().unwrap();
        let theirs = root.path().join("a");
        fs::create_dir(&theirs).unwrap();
        std::os::unix::fs::chown(&theirs, Some(65_534), None).unwrap();
        let answer = make(root.path(), &["a"]).unwrap_err().to_string();
        assert!(answer.contains("belongs to user 65534"), "{answer}");
        assert!(trusted_own(&theirs).is_err());
    }
}
