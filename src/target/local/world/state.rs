//! State directories of worlds: made one at a time, and swept when what made them is gone.
//!
//! A holder removes its directory itself. What is left is from a harness that was killed before there was a holder, or from
//! a machine that lost power. `owner` names the process that made a directory: its number and its start time, so that a
//! later process with the same number is not taken for it.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use super::{launch::WorldError, spec::WorldSpec};

/// Held while a directory is made or directories are swept, so that nobody sees one without its owner.
const LOCK: &str = ".lock";
const OWNER: &str = "owner";

/// Where worlds of this user have their state: short, private, gone at the latest with the next boot.
pub fn root_directory() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|dir| dir.is_dir());
    runtime.map_or_else(
        || PathBuf::from(format!("/tmp/meshproof-{}", nix::unistd::Uid::effective())),
        |dir| dir.join("meshproof"),
    )
}

/// Makes the state directory of a world, after those of dead worlds are gone.
///
/// # Errors
/// [`WorldError::AlreadyUp`], or [`WorldError::State`] when the directory cannot be made.
pub(super) fn make(name: &str) -> Result<PathBuf, WorldError> {
    make_in(&root_directory(), name)
}

fn make_in(root: &Path, name: &str) -> Result<PathBuf, WorldError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| WorldError::State { path, source }
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(root)
        .map_err(failed(root))?;
    fs::set_permissions(root, fs::Permissions::from_mode(0o700)).map_err(failed(root))?;
    let lock = File::create(root.join(LOCK)).map_err(failed(root))?;
    lock.lock().map_err(failed(root))?;
    sweep(root);
    let state = root.join(name);
    match fs::create_dir(&state) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let name = name.to_owned();
            return Err(WorldError::AlreadyUp { name });
        }
        other => other.map_err(failed(&state))?,
    }
    let owner = me().and_then(|me| fs::write(state.join(OWNER), me));
    owner.map_err(failed(&state))?;
    // Pods' users (1337) reach sockets and keys through mounts only; the directory must be searchable for the world's root.
    fs::set_permissions(&state, fs::Permissions::from_mode(0o711)).map_err(failed(&state))?;
    Ok(state)
}

/// Removes the directories of dead worlds. Anything that no world left there stays.
fn sweep(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let state = entry.path();
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) || is_alive(&state) {
            continue;
        }
        let ours = state.join(OWNER).exists() || WorldSpec::read(&state).is_ok();
        let removed = if ours {
            fs::remove_dir_all(&state)
        } else {
            fs::remove_dir(&state) // made, and killed before it was named: empty, or not a world's
        };
        if let Err(error) = removed {
            tracing::debug!(state = %state.display(), %error, "a directory of no living world stays");
        }
    }
}

/// Whether the process that made the directory, or one of the world's own, lives.
fn is_alive(state: &Path) -> bool {
    let owner = fs::read_to_string(state.join(OWNER)).unwrap_or_default();
    let owner_lives = owner
        .split_once(' ')
        .is_some_and(|(pid, started)| start_time(pid).is_ok_and(|now| now == started));
    owner_lives
        || processes().any(|pid| has_role(state, pid, "__world") || has_role(state, pid, "__init"))
}

fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Whether the process has this role in the world whose state lies there.
pub(super) fn has_role(state: &Path, pid: i32, role: &str) -> bool {
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = command.split(|byte| *byte == 0).skip(1);
    words.next() == Some(role.as_bytes())
        && words.next() == Some(state.as_os_str().as_encoded_bytes())
}

/// This process as `owner` names it.
fn me() -> io::Result<String> {
    let pid = std::process::id().to_string();
    Ok(format!("{pid} {}", start_time(&pid)?))
}

/// When the process started, in clock ticks since boot: field 22 of `/proc/PID/stat`, the 20th after the name in brackets.
fn start_time(pid: &str) -> io::Result<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let found = after_name.split_whitespace().nth(19);
    found
        .map(str::to_owned)
        .ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat has no start time")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory as a harness leaves it that is killed before there is a holder.
    fn left_by(root: &Path, name: &str, owner: &str) -> PathBuf {
        let state = root.join(name);
        fs::create_dir(&state).unwrap();
        fs::write(state.join(OWNER), owner).unwrap();
        fs::write(state.join("spec.json"), "{").unwrap();
        state
    }

    #[test]
    fn what_dead_owners_left_is_swept_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let pid = std::process::id();
        let reused = left_by(root, "reused-number", &format!("{pid} 1"));
        let gone = left_by(root, "gone", "2147483647 5");
        let unnamed = root.join("unnamed");
        fs::create_dir(&unnamed).unwrap();
        let mine = left_by(root, "mine", &me().unwrap());
        let foreign = root.join("foreign");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("notes"), "").unwrap();
        fs::write(root.join("file"), "").unwrap();
        let made = make_in(root, "new").unwrap();
        for (path, there) in [
            (reused, false),
            (gone, false),
            (unnamed, false),
            (mine, true),
            (foreign, true),
            (root.join("file"), true),
            (made, true),
        ] {
            assert_eq!(path.exists(), there, "{}", path.display());
        }
    }

    #[test]
    fn a_world_that_is_just_starting_keeps_its_name() {
        let root = tempfile::tempdir().unwrap();
        make_in(root.path(), "a").unwrap();
        let second = make_in(root.path(), "a").unwrap_err();
        assert!(matches!(second, WorldError::AlreadyUp { .. }), "{second}");
    }
}
