//! Free space in an existing or future directory.

use std::path::Path;

use nix::{
    sys::statvfs::statvfs,
    unistd::{AccessFlags, access},
};

use crate::doctor::disk::DiskSpace;

/// Free space at `path`, or at its nearest existing parent.
pub(super) fn room(path: &Path) -> DiskSpace {
    let there = path.ancestors().find(|path| path.exists());
    let free = there.ok_or_else(|| "no such directory".to_owned());
    let free = free.and_then(|there| {
        let message = |error: nix::errno::Errno| format!("{}: {}", there.display(), error.desc());
        access(there, AccessFlags::W_OK | AccessFlags::X_OK).map_err(message)?;
        let stats = statvfs(there).map_err(message)?;
        Ok(stats.blocks_available() * stats.fragment_size())
    });
    DiskSpace {
        path: path.to_owned(),
        free,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_will_be_made_has_the_room_of_what_it_will_be_in() {
        let dir = tempfile::tempdir().unwrap();
        let (now, later) = (room(dir.path()), room(&dir.path().join("a/b")));
        assert!(now.free.unwrap() > 0 && later.free.unwrap() > 0);
        assert!(later.path.ends_with("a/b"));
    }

    #[test]
    fn a_place_that_cannot_be_written_to_is_told() {
        let message = room(Path::new("/proc/1/fdinfo/new")).free.unwrap_err();
        assert!(message.contains("/proc/"), "{message}");
    }
}
