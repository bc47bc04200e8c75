//! State directories of worlds: where they are, created one at a time, and swept when their world
//! is gone.
//!
//! A holder removes its directory itself. What is left is from a harness that was killed before
//! there was a holder, or from a machine that lost power. Every process that uses a directory
//! (its creator, the holder, PID 1) holds a shared lock on a file in it. The kernel releases the
//! lock with the process, and the lock works across PID namespaces, where process numbers mean
//! nothing.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use nix::{sys::statvfs::statvfs, unistd::Uid};

use super::launch::WorldError;
use crate::{
    errors::chain,
    private_dir::{self, NotPrivate, Untrusted},
};

/// Held while a directory is created or directories are swept, so that no process sees one
/// without its lock.
const LOCK: &str = ".lock";
/// Held, shared, by every process that uses a directory.
const HELD: &str = "held";
/// Name of the directory of worlds.
const OWN: &str = "meshproof";
/// Longest path of a Unix socket, without the final zero (unix(7)).
const LONGEST_SOCKET: usize = 107;
/// Bytes that a world's files (keys, logs, socket, specification) take in the state directory at
/// most, roughly.
const ROOM: u64 = 8 << 20;

/// Possible runtime directories, best first: `$XDG_RUNTIME_DIR`, the one that login managers
/// create, and for root `/run`. All are short, and gone with the next boot at the latest.
fn runtime_directories() -> Vec<(PathBuf, bool)> {
    let me = Uid::effective();
    let mut all: Vec<(PathBuf, bool)> = private_dir::variable("XDG_RUNTIME_DIR")
        .map(|dir| (dir, true))
        .into_iter()
        .collect();
    all.push((PathBuf::from(format!("/run/user/{me}")), true));
    if me.is_root() {
        all.push((PathBuf::from("/run"), false));
    }
    all
}

/// The first runtime directory that no other user can change, or why each of them is unsuitable.
fn runtime_directory() -> Result<PathBuf, Vec<Untrusted>> {
    let mut tried = Vec::new();
    for (dir, own) in runtime_directories() {
        let found = if own {
            private_dir::trusted_own(&dir)
        } else {
            private_dir::trusted(&dir)
        };
        match found {
            Ok(dir) => return Ok(dir),
            Err(why) => tried.push(why),
        }
    }
    Err(tried)
}

/// Where new worlds of this user have their state: in a runtime directory, else in the user's
/// state home. It is created if missing. A name that another user could have created, as in
/// `/tmp`, is never used.
///
/// # Errors
/// [`NotPrivate`]: there is no such directory, or the existing one is not this user's alone.
pub fn root_directory() -> Result<PathBuf, NotPrivate> {
    match runtime_directory() {
        Ok(dir) => private_dir::make(&dir, &[OWN]),
        Err(tried) => private_dir::in_state_home(&[OWN, "worlds"]).map_err(|error| match error {
            NotPrivate::Nowhere { tried: home, .. } => {
                let tried = tried.iter().map(|why| chain(why));
                let tried: Vec<String> = tried.chain([home]).collect();
                NotPrivate::Nowhere {
                    tried: tried.join(", "),
                    variable: "XDG_RUNTIME_DIR",
                }
            }
            other => other,
        }),
    }
}

/// Every directory in which worlds of this user may have their state: a world must also be found
/// by a command whose environment differs (cron, sudo, a second login) from that of the one that
/// started it.
pub(super) fn roots() -> Vec<PathBuf> {
    let runtime = runtime_directories().into_iter().filter_map(|(dir, own)| {
        let dir = if own {
            private_dir::trusted_own(&dir)
        } else {
            private_dir::trusted(&dir)
        };
        Some(dir.ok()?.join(OWN))
    });
    let state = [
        private_dir::variable("XDG_STATE_HOME"),
        private_dir::home().map(|home| home.join(".local/state")),
    ];
    let state = state.into_iter().flatten().filter_map(|dir| {
        Some(
            private_dir::trusted_own(&dir)
                .ok()?
                .join("meshproof/worlds"),
        )
    });
    let mut all: Vec<PathBuf> = Vec::new();
    for root in runtime.chain(state) {
        if !all.contains(&root) && private_dir::own(&root).is_ok() {
            all.push(root);
        }
    }
    all
}

/// A new state directory, and the lock that marks it as in use.
#[derive(Debug)]
pub(super) struct NewStateDirectory {
    pub path: PathBuf,
    pub held: File,
}

/// Creates the state directory of a world, after removing those of dead worlds.
///
/// # Errors
/// [`WorldError::AlreadyUp`], or the directory cannot be created.
pub(super) fn make(name: &str) -> Result<NewStateDirectory, WorldError> {
    let root = root_directory()?;
    for other in roots().into_iter().filter(|other| *other != root) {
        if is_held(&other.join(name)).unwrap_or(false) {
            return Err(WorldError::AlreadyUp {
                name: name.to_owned(),
            });
        }
    }
    make_in(&root, name)
}

fn make_in(root: &Path, name: &str) -> Result<NewStateDirectory, WorldError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| WorldError::State { path, source }
    };
    let lock = lock_file(&root.join(LOCK)).map_err(failed(root))?;
    lock.lock().map_err(failed(root))?;
    sweep(root);
    let state = root.join(name);
    let socket = state.join("node.sock").as_os_str().len();
    if socket > LONGEST_SOCKET {
        return Err(WorldError::LongPath { path: state });
    }
    match fs::create_dir(&state) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let name = name.to_owned();
            return Err(WorldError::AlreadyUp { name });
        }
        other => other.map_err(failed(&state))?,
    }
    // Pods' users (1337) reach sockets and keys only through mounts; the directory must be
    // searchable for the world's root.
    fs::set_permissions(&state, fs::Permissions::from_mode(0o711)).map_err(failed(&state))?;
    let held = hold(&state).map_err(failed(&state))?;
    Ok(NewStateDirectory { path: state, held })
}

/// Checks that there is room for a world's files.
///
/// # Errors
/// [`WorldError::NoRoom`].
pub(super) fn room(root: &Path) -> Result<(), WorldError> {
    match free(root) {
        Some(free) if free < ROOM => Err(WorldError::NoRoom {
            path: root.to_owned(),
            free: free / 1024,
            expected: ROOM / 1024,
        }),
        _ => Ok(()),
    }
}

/// Bytes that this user can still write there; zero if there are no inodes left.
pub(super) fn free(dir: &Path) -> Option<u64> {
    let seen = statvfs(dir).ok()?;
    if seen.files() > 0 && seen.files_available() == 0 {
        return Some(0);
    }
    Some(seen.blocks_available() * seen.fragment_size())
}

fn lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

/// Marks the directory as in use as long as the returned file is open.
///
/// # Errors
/// If the directory is gone.
pub(super) fn hold(state: &Path) -> io::Result<File> {
    let file = lock_file(&state.join(HELD))?;
    file.lock_shared()?;
    Ok(file)
}

/// Whether any process uses the directory, in any PID namespace.
///
/// # Errors
/// If it cannot be determined, such as without a free file descriptor: that is no sign of death.
pub(super) fn is_held(state: &Path) -> io::Result<bool> {
    let file = match File::open(state.join(HELD)) {
        Ok(file) => file,
        Err(error) if is_absent(&error) => return Ok(false),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Removes the directories of dead worlds. Anything else stays.
fn sweep(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let state = entry.path();
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let removed = match File::open(state.join(HELD)) {
            // The lock is held until everything is removed: a process that waits for it finds
            // nothing to use.
            Ok(held) => match held.try_lock() {
                Ok(()) => fs::remove_dir_all(&state),
                Err(_) => continue,
            },
            // Created, but its creator was killed before it held the lock: empty, or not a
            // world's.
            Err(error) if is_absent(&error) => fs::remove_dir(&state),
            Err(_) => continue,
        };
        if let Err(error) = removed {
            tracing::debug!(state = %state.display(), %error, "cannot remove the directory of a dead world");
        }
    }
}

/// Whether the process has this role in the world whose state directory is `state`.
pub(super) fn has_role(state: &Path, pid: i32, role: &str) -> bool {
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut message = command.split(|byte| *byte == 0).skip(1);
    message.next() == Some(role.as_bytes())
        && message.next() == Some(state.as_os_str().as_encoded_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory as a dead world leaves it.
    fn left(root: &Path, name: &str) -> PathBuf {
        let state = root.join(name);
        fs::create_dir(&state).unwrap();
        fs::write(state.join(HELD), "").unwrap();
        fs::write(state.join("spec.json"), "{").unwrap();
        fs::create_dir(state.join("private")).unwrap();
        state
    }

    #[test]
    fn what_the_dead_left_is_swept_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let gone = left(root, "gone");
        let unnamed = root.join("unnamed");
        fs::create_dir(&unnamed).unwrap();
        // A process number does not show that the world is alive: it may be of another PID
        // namespace.
        let living = left(root, "living");
        fs::write(living.join("init.pid"), "2147483647").unwrap();
        let _held = hold(&living).unwrap();
        let foreign = root.join("foreign");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("notes"), "").unwrap();
        fs::write(foreign.join("owner"), "1 1").unwrap();
        fs::write(foreign.join("spec.json"), "{}").unwrap();
        fs::write(root.join("file"), "").unwrap();
        let made = make_in(root, "new").unwrap();
        for (path, there) in [
            (gone, false),
            (unnamed, false),
            (living, true),
            (foreign, true),
            (root.join("file"), true),
            (made.path.clone(), true),
        ] {
            assert_eq!(path.exists(), there, "{}", path.display());
        }
        assert!(is_held(&made.path).unwrap());
    }

    #[test]
    fn a_world_that_is_just_starting_keeps_its_name() {
        let root = tempfile::tempdir().unwrap();
        let first = make_in(root.path(), "a").unwrap();
        let second = make_in(root.path(), "a").unwrap_err();
        assert!(matches!(second, WorldError::AlreadyUp { .. }), "{second}");
        drop(first);
        make_in(root.path(), "a").unwrap();
    }

    #[test]
    fn several_may_live_in_a_directory_and_the_last_one_leaves_it() {
        let root = tempfile::tempdir().unwrap();
        let made = make_in(root.path(), "a").unwrap();
        let holder = hold(&made.path).unwrap();
        drop(made.held);
        assert!(is_held(&made.path).unwrap());
        drop(holder);
        assert!(!is_held(&made.path).unwrap());
        assert!(!is_held(&root.path().join("none")).unwrap());
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_told_before_anything_starts() {
        let root = tempfile::tempdir().unwrap();
        let answer = make_in(root.path(), &"a".repeat(100)).unwrap_err();
        assert!(matches!(answer, WorldError::LongPath { .. }), "{answer}");
        assert_eq!(
            fs::read_dir(root.path()).unwrap().count(),
            1,
            "the lock only"
        );
    }
}
