//! The cache: one directory per set of binaries, named after its inputs and created atomically.
//!
//! `<set>` is complete, `<set>.partial` is being built or was interrupted, `<set>.lock` names the
//! process that builds it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use super::{entry::Manifest, error::ToolchainError, progress::PrepareProgress, readable};
use crate::errors::chain;

/// The directory with all sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// A cache in `root`, which may not exist yet.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The user's cache, as in the XDG base directory specification:
    /// `$XDG_CACHE_HOME/meshproof/toolchain`, else `~/.cache/meshproof/toolchain`.
    ///
    /// # Errors
    /// [`ToolchainError::NoCacheHome`] if neither variable holds an absolute path.
    pub fn of_user() -> Result<Self, ToolchainError> {
        let variable = |name| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let home = || variable("HOME").map(|home| home.join(".cache"));
        let base = variable("XDG_CACHE_HOME")
            .or_else(home)
            .ok_or(ToolchainError::NoCacheHome)?;
        Ok(Self::at(base.join("meshproof/toolchain")))
    }

    /// The directory with all sets.
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn set(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(super) fn partial(&self, name: &str) -> PathBuf {
        self.root.join(format!("{name}.partial"))
    }

    /// The set `name`, built by `make` unless it exists. `make` gets a working directory, which
    /// still has what an interrupted run left there, and returns the finished tree inside it.
    pub(super) fn ensure(
        &self,
        name: &str,
        progress: &mut dyn FnMut(PrepareProgress<'_>),
        make: impl FnOnce(
            &Path,
            &File,
            &mut dyn FnMut(PrepareProgress<'_>),
        ) -> Result<PathBuf, ToolchainError>,
    ) -> Result<(PathBuf, Manifest), ToolchainError> {
        let entry = self.set(name);
        if let Ok(manifest) = Manifest::verify(&entry) {
            // It may have been built under a narrow umask. A read-only cache stays as it is.
            let _ = readable::for_everybody(&entry);
            progress(PrepareProgress::Cached {
                set: name,
                bytes: manifest.bytes(),
            });
            return Ok((entry, manifest));
        }
        let unwritable = |source| match ToolchainError::io("writing", &self.root, source) {
            ToolchainError::Io { path, source, .. } => {
                ToolchainError::CacheUnwritable { path, source }
            }
            full => full,
        };
        fs::create_dir_all(&self.root).map_err(unwritable)?;
        let lock = self.lock(name, progress).map_err(unwritable)?;
        if entry.exists() {
            match Manifest::verify(&entry) {
                Ok(manifest) => return Ok((entry, manifest)), // built by the previous lock holder
                Err(damage) => progress(PrepareProgress::Rebuilding {
                    set: name,
                    why: &chain(&damage),
                }),
            }
            fs::remove_dir_all(&entry)
                .map_err(|error| ToolchainError::io("removing", &entry, error))?;
        }
        let partial = self.partial(name);
        fs::create_dir_all(&partial).map_err(unwritable)?;
        let finished = make(&partial, &lock, progress)?;
        let verified = Manifest::verify(&finished);
        let manifest = verified.map_err(|damage| ToolchainError::Incomplete {
            what: chain(&damage),
            path: finished.clone(),
        })?;
        readable::for_everybody(&finished)
            .map_err(|error| ToolchainError::io("making world-readable", &finished, error))?;
        fs::rename(&finished, &entry)
            .map_err(|error| ToolchainError::io("renaming", &finished, error))?;
        fs::remove_dir_all(&partial)
            .map_err(|error| ToolchainError::io("removing", &partial, error))?;
        Ok((entry, manifest))
    }

    /// Acquires the lock of a set, reporting the holder if it has to wait. The kernel releases the
    /// lock when the holder and its commands have exited.
    fn lock(
        &self,
        name: &str,
        progress: &mut dyn FnMut(PrepareProgress<'_>),
    ) -> std::io::Result<File> {
        let path = self.root.join(format!("{name}.lock"));
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = holder(&mut file);
                progress(PrepareProgress::Waiting {
                    set: name,
                    holder: &holder,
                });
                file.lock()?;
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "process {}", std::process::id())?;
        Ok(file)
    }

    /// Acquires the lock of a set if it is free.
    pub(super) fn try_lock(&self, name: &str) -> Option<File> {
        let path = self.root.join(format!("{name}.lock"));
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).open(path);
        let file = file.ok()?;
        file.try_lock().is_ok().then_some(file)
    }

    /// Records the Go version that a set was built with, so that the set is found without Go. Best
    /// effort: the cache may be read-only.
    pub(super) fn note_go(&self, name: &str, go: &str) {
        let path = self.root.join(format!("{name}.go"));
        if fs::read_to_string(&path).is_ok_and(|noted| noted == go) {
            return;
        }
        if let Err(error) = fs::write(&path, go) {
            tracing::debug!(path = %path.display(), %error, "cannot record the Go version");
        }
    }

    /// All Go versions that sets were built with.
    pub(super) fn noted_go(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let notes = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "go"));
        notes
            .filter_map(|path| fs::read_to_string(path).ok())
            .collect()
    }

    /// The process that is building the set now, if any.
    pub(super) fn held_by(&self, name: &str) -> Option<String> {
        let mut file = File::open(self.root.join(format!("{name}.lock"))).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(holder(&mut file)),
            _ => None,
        }
    }
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.read_to_string(&mut text) {
        Ok(count) if count > 0 => text,
        _ => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeMap, sync::mpsc, thread};

    fn make(partial: &Path) -> Result<PathBuf, ToolchainError> {
        let out = partial.join("out");
        fs::create_dir_all(&out).unwrap();
        fs::write(out.join("a"), "program").unwrap();
        Manifest::write(&out, BTreeMap::new(), Vec::new())?;
        Ok(out)
    }

    #[test]
    fn a_failed_make_leaves_no_entry_and_keeps_what_it_had() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path());
        let failed = cache.ensure("set", &mut |_| {}, |partial, _, _| {
            fs::write(partial.join("half"), "").unwrap();
            Err(ToolchainError::NoCacheHome)
        });
        assert!(failed.is_err() && !cache.set("set").exists());
        let made = cache.ensure("set", &mut |_| {}, |partial, _, _| {
            assert!(partial.join("half").exists());
            make(partial)
        });
        assert!(
            made.is_ok() && cache.set("set").join("a").exists() && !cache.partial("set").exists()
        );
    }

    #[test]
    fn a_damaged_entry_is_made_again_and_that_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path());
        cache
            .ensure("set", &mut |_| {}, |partial, _, _| make(partial))
            .unwrap();
        fs::write(cache.set("set").join("a"), "short").unwrap();
        let mut answer = Vec::new();
        cache
            .ensure(
                "set",
                &mut |p| answer.push(p.to_string()),
                |partial, _, _| make(partial),
            )
            .unwrap();
        assert!(
            answer
                .iter()
                .any(|line| line.contains("5 bytes instead of 7")),
            "{answer:?}"
        );
        assert_eq!(
            fs::read_to_string(cache.set("set").join("a")).unwrap(),
            "program"
        );
    }

    #[test]
    fn of_two_at_once_one_makes_and_the_other_waits_for_it_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path());
        let (making, is_making) = mpsc::channel();
        let (waiting, is_waiting) = mpsc::channel();
        thread::scope(|scope| {
            let cache = &cache;
            scope.spawn(move || {
                cache.ensure("set", &mut |_| {}, |partial, _, _| {
                    making.send(()).unwrap();
                    let holder: String = is_waiting.recv().unwrap();
                    assert!(holder.contains(&std::process::id().to_string()), "{holder}");
                    make(partial)
                })
            });
            is_making.recv().unwrap();
            assert!(cache.held_by("set").is_some());
            let mut tell = |answer: PrepareProgress<'_>| {
                if let PrepareProgress::Waiting { holder, .. } = answer {
                    waiting.send(holder.to_owned()).unwrap();
                }
            };
            let got = cache.ensure("set", &mut tell, |_, _, _| panic!("made twice"));
            assert!(got.unwrap().0.join("a").exists());
        });
        // A command that another test starts holds the lock too, from its fork to its exec.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while cache.held_by("set").is_some() && std::time::Instant::now() < deadline {
            thread::sleep(std::time::Duration::from_millis(5));
        }
        assert_eq!(cache.held_by("set"), None);
    }

    #[test]
    fn an_unwritable_cache_is_named_with_the_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Cache::at(file.join("cache"))
            .ensure("set", &mut |_| {}, |p, _, _| make(p))
            .unwrap_err();
        let answer = error.to_string();
        assert!(
            answer.contains("XDG_CACHE_HOME") && answer.contains(&*file.to_string_lossy()),
            "{answer}"
        );
    }
}
