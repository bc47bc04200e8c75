//! The directory of snapshots: finds them, lets one process at a time make each, and keeps few.
//!
//! `<key>` is a snapshot from which a mesh has become ready. `<key>.<process>.partial` is being
//! made, or was interrupted, and is never used. `.lock` is held by the process that makes one; the
//! kernel releases it with that process.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::private_dir::{self, NotPrivate, Untrusted};

/// Number of snapshots that are kept: for a few builds and tool chains in turn.
const KEPT: usize = 3;
/// Held while a snapshot is made.
const LOCK: &str = ".lock";
/// Ending of a snapshot that is not complete.
const PARTIAL: &str = "partial";
/// Name of the directory.
const OWN: &str = "snapshots";

/// An error using the directory of snapshots.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    #[error(transparent)]
    NotPrivate(#[from] NotPrivate),
    #[error("cannot use {}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// The snapshots of this user.
#[derive(Debug, Clone)]
pub struct SnapshotCache {
    root: PathBuf,
}

/// A snapshot that this process makes. Dropping it removes an incomplete file and releases the
/// lock.
#[derive(Debug)]
pub struct Making {
    cache: SnapshotCache,
    key: String,
    _lock: File,
}

impl SnapshotCache {
    /// The directory `snapshots` in the program's cache `home`, with mode 0700.
    ///
    /// # Errors
    /// [`CacheError`]: others can write there, or it cannot be created.
    pub fn within(home: &Path) -> Result<Self, CacheError> {
        let root = private_dir::make(&private_dir::trusted(home)?, &[OWN])?;
        Ok(Self { root })
    }

    /// The snapshot of this key, if there is one.
    pub fn find(&self, key: &str) -> Option<PathBuf> {
        let file = self.root.join(key);
        let there = fs::symlink_metadata(&file).is_ok_and(|meta| meta.is_file());
        there.then_some(file)
    }

    /// Notes that the snapshot was used: the least recently used ones are removed first.
    pub fn note_use(&self, key: &str) {
        let file = OpenOptions::new().write(true).open(self.root.join(key));
        let _ = file.and_then(|file| file.set_modified(SystemTime::now()));
    }

    /// Claims the making of a snapshot. `None`: another process makes one now.
    ///
    /// # Errors
    /// [`CacheError::Io`].
    pub fn claim(&self, key: &str) -> Result<Option<Making>, CacheError> {
        let path = self.root.join(LOCK);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let lock = options
            .open(&path)
            .map_err(|source| CacheError::Io { path, source })?;
        Ok(lock.try_lock().is_ok().then(|| Making {
            cache: self.clone(),
            key: key.to_owned(),
            _lock: lock,
        }))
    }

    /// Removes a snapshot that could not be used.
    pub fn discard(&self, key: &str) {
        let _ = fs::remove_file(self.root.join(key));
    }

    /// Removes interrupted snapshots, and all but the most recently used ones. Only the process
    /// that holds the lock does this.
    fn prune(&self) {
        let mut complete = Vec::new();
        for file in fs::read_dir(&self.root).into_iter().flatten().flatten() {
            let path = file.path();
            if path.extension().is_some_and(|ending| ending == PARTIAL) {
                let _ = fs::remove_file(path);
            } else if file.file_name() != LOCK {
                let used = file.metadata().and_then(|meta| meta.modified());
                complete.push((used.unwrap_or(SystemTime::UNIX_EPOCH), path));
            }
        }
        complete.sort();
        let many = complete.len().saturating_sub(KEPT);
        for (_, path) in complete.into_iter().take(many) {
            let _ = fs::remove_file(path);
        }
    }
}

impl Making {
    /// The file to write.
    pub fn partial(&self) -> PathBuf {
        let name = format!("{}.{}.{PARTIAL}", self.key, std::process::id());
        self.cache.root.join(name)
    }

    /// Makes the written file the snapshot of its key, and removes old ones.
    ///
    /// # Errors
    /// [`CacheError::Io`]: it was not written.
    pub fn publish(self) -> Result<(), CacheError> {
        let (partial, root) = (self.partial(), &self.cache.root);
        let done =
            fs::rename(&partial, root.join(&self.key)).and_then(|()| File::open(root)?.sync_all());
        done.map_err(|source| CacheError::Io {
            path: partial,
            source,
        })?;
        self.cache.prune();
        Ok(())
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.partial());
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt as _, time::Duration};

    use super::*;

    fn cache() -> (tempfile::TempDir, SnapshotCache) {
        let home = tempfile::tempdir().unwrap();
        let cache = SnapshotCache::within(home.path()).unwrap();
        (home, cache)
    }

    fn made(cache: &SnapshotCache, key: &str) {
        let making = cache.claim(key).unwrap().unwrap();
        fs::write(making.partial(), key).unwrap();
        making.publish().unwrap();
    }

    #[test]
    fn a_snapshot_is_found_only_when_it_is_complete() {
        let (_home, cache) = cache();
        let mode = fs::metadata(&cache.root).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let making = cache.claim("a").unwrap().unwrap();
        fs::write(making.partial(), "half").unwrap();
        assert_eq!(cache.find("a"), None);
        making.publish().unwrap();
        assert!(cache.find("a").is_some());
        assert_eq!(cache.find("b"), None);
        cache.discard("a");
        assert_eq!(cache.find("a"), None);
    }

    #[test]
    fn one_process_makes_a_snapshot_at_a_time() {
        let (_home, cache) = cache();
        let first = cache.claim("a").unwrap().unwrap();
        assert!(cache.claim("a").unwrap().is_none());
        assert!(cache.claim("b").unwrap().is_none());
        drop(first);
        assert!(cache.claim("a").unwrap().is_some());
    }

    #[test]
    fn what_was_not_written_is_not_published() {
        let (_home, cache) = cache();
        let making = cache.claim("a").unwrap().unwrap();
        assert!(making.publish().is_err());
        assert_eq!(cache.find("a"), None);
        let making = cache.claim("a").unwrap().unwrap();
        let partial = making.partial();
        fs::write(&partial, "half").unwrap();
        drop(making);
        assert!(!partial.exists());
    }

    #[test]
    fn few_are_kept_and_what_was_interrupted_is_removed() {
        let (_home, cache) = cache();
        let interrupted = cache.root.join("e.1.partial");
        fs::write(&interrupted, "half").unwrap();
        let now = SystemTime::now();
        for (age, key) in [(40, "a"), (30, "b"), (20, "c")] {
            made(&cache, key);
            let file = File::options().write(true).open(cache.root.join(key));
            let then = now - Duration::from_secs(age);
            file.unwrap().set_modified(then).unwrap();
        }
        cache.note_use("a");
        made(&cache, "d");
        let there = ["a", "b", "c", "d"].map(|key| cache.find(key).is_some());
        assert_eq!(there, [true, false, true, true]);
        assert!(!interrupted.exists());
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_not_used() {
        let (home, _) = cache();
        let open = fs::Permissions::from_mode(0o777);
        fs::set_permissions(home.path().join(OWN), open).unwrap();
        let error = SnapshotCache::within(home.path()).unwrap_err();
        assert!(matches!(error, CacheError::NotPrivate(_)), "{error}");
    }
}
