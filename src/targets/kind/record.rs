//! What meshproof stores about a kind cluster between commands: who created it and how to reach it.
//!
//! The record is written before kind is called, so that a killed harness leaves a trace:
//! `target status` shows the cluster and `target down` removes it.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

use super::{error::KindError, made_of::MadeOf};
use crate::private_dir::{self, NotPrivate};

/// A cluster that meshproof created or uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// kind's name for the cluster.
    pub name: String,
    /// meshproof created it, and so may delete it.
    pub made: bool,
    /// It is kept after the run.
    pub kept: bool,
    /// The process that created it, by PID and start time (see [`owner`]).
    pub owner: String,
    /// The kind process that is creating it, by PID and start time.
    #[serde(default)]
    pub maker: Option<String>,
    /// The kind binary that it was created with.
    #[serde(default)]
    pub program: Option<PathBuf>,
    /// `DOCKER_HOST` of the engine, if set.
    pub docker_host: Option<String>,
    /// SHA-256 of the image archives loaded onto its nodes.
    #[serde(default)]
    pub loaded: Vec<String>,
    /// The flags that the cluster was created with and its Istio installed with.
    #[serde(default)]
    pub made_of: MadeOf,
    /// The profile with which meshproof installed Istio, if it did.
    #[serde(default)]
    pub profile: Option<String>,
    #[serde(skip)]
    dir: PathBuf,
}

/// Directory of this user's records. They survive a reboot, as clusters do. A record names a
/// program that is executed, so other users must not be able to write there.
fn root() -> Result<PathBuf, NotPrivate> {
    private_dir::in_state_home(&["meshproof", "kind"])
}

impl Record {
    /// Creates the record of a cluster.
    ///
    /// # Errors
    /// [`KindError::AlreadyUp`] and [`KindError::Write`].
    pub fn begin(name: &str, made: bool, kept: bool) -> Result<Self, KindError> {
        Self::begin_in(&root()?, name, made, kept)
    }

    fn begin_in(root: &Path, name: &str, made: bool, kept: bool) -> Result<Self, KindError> {
        let record = Self {
            name: name.to_owned(),
            made,
            kept,
            owner: owner(std::process::id()).unwrap_or_default(),
            maker: None,
            program: None,
            docker_host: std::env::var("DOCKER_HOST").ok(),
            loaded: Vec::new(),
            made_of: MadeOf::default(),
            profile: None,
            dir: root.join(name),
        };
        let mut builder = fs::DirBuilder::new();
        builder.mode(0o700);
        let made = builder
            .recursive(true)
            .create(root)
            .and_then(|()| builder.recursive(false).create(&record.dir));
        match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let name = name.to_owned();
                return Err(KindError::AlreadyUp { name });
            }
            other => other.map_err(|source| record.unwritten(source))?,
        }
        record.write()?;
        Ok(record)
    }

    /// The record of a cluster, if there is one.
    pub fn find(name: &str) -> Option<Self> {
        Self::read(&root().ok()?.join(name))
    }

    /// All records of this user, sorted by name.
    pub fn all() -> Vec<Self> {
        let entries = root().into_iter().flat_map(fs::read_dir);
        let mut all: Vec<Self> = entries
            .flatten()
            .flatten()
            .filter_map(|entry| Self::read(&entry.path()))
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    fn read(dir: &Path) -> Option<Self> {
        let text = fs::read(dir.join("cluster.json")).ok()?;
        let record: Self = serde_json::from_slice(&text).ok()?;
        Some(Self {
            dir: dir.to_owned(),
            ..record
        })
    }

    /// Replaces the file atomically.
    ///
    /// # Errors
    /// [`KindError::Write`].
    pub fn write(&self) -> Result<(), KindError> {
        let text = serde_json::to_vec_pretty(self).map_err(io::Error::other);
        let new = self.dir.join("cluster.json.new");
        text.and_then(|text| fs::write(&new, text))
            .and_then(|()| fs::rename(&new, self.dir.join("cluster.json")))
            .map_err(|source| self.unwritten(source))
    }

    fn unwritten(&self, source: io::Error) -> KindError {
        KindError::Write {
            path: self.dir.clone(),
            source,
        }
    }

    /// Deletes the record.
    pub fn remove(&self) {
        let _ = fs::remove_dir_all(&self.dir);
    }

    /// The cluster's kubeconfig: a separate file, so that the user's stays unchanged.
    pub fn kubeconfig(&self) -> PathBuf {
        self.file("kubeconfig")
    }

    /// A file next to the record.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Whether the process that created it is still running.
    pub fn is_owned(&self) -> bool {
        alive(&self.owner).is_some()
    }

    /// Records the kind process that is creating the cluster.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn note_maker(&mut self, pid: u32) -> Result<(), KindError> {
        self.maker = owner(pid);
        self.write()
    }

    /// Kills the kind process that is still creating the cluster: its harness was killed, and it
    /// would continue after the cluster is deleted.
    pub fn end_maker(&self) {
        if let Some(pid) = self.maker.as_deref().and_then(alive) {
            // It may have exited meanwhile.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// The PID of a recorded process, if it is still running.
fn alive(process: &str) -> Option<i32> {
    let pid: u32 = process.split(' ').next()?.parse().ok()?;
    let same = owner(pid).as_deref() == Some(process);
    same.then(|| i32::try_from(pid).ok()).flatten()
}

/// A process by PID and start time (proc(5), field 22 of `stat`), which tells it from a later one
/// with the same PID.
fn owner(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let started = stat.rsplit_once(") ")?.1.split(' ').nth(19)?;
    Some(format!("{pid} {started}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_found_again_until_it_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let mut made = Record::begin_in(root.path(), "a", true, true).unwrap();
        assert!(made.is_owned());
        made.loaded.push("x".into());
        made.write().unwrap();
        assert_eq!(Record::read(&root.path().join("a")), Some(made.clone()));
        let again = Record::begin_in(root.path(), "a", true, true).unwrap_err();
        assert!(matches!(again, KindError::AlreadyUp { .. }), "{again}");
        made.remove();
        assert_eq!(Record::read(&root.path().join("a")), None);
    }

    #[test]
    fn only_the_very_process_that_was_noted_is_ended() {
        let root = tempfile::tempdir().unwrap();
        let mut made = Record::begin_in(root.path(), "a", true, false).unwrap();
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        made.maker = Some(format!("{} 1", child.id()));
        made.end_maker();
        assert!(
            child.try_wait().unwrap().is_none(),
            "the wrong process was killed"
        );
        made.note_maker(child.id()).unwrap();
        made.end_maker();
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn another_process_with_the_same_number_is_not_the_owner() {
        let root = tempfile::tempdir().unwrap();
        let mut made = Record::begin_in(root.path(), "a", true, false).unwrap();
        made.owner = format!("{} 1", std::process::id());
        assert!(!made.is_owned());
        made.owner = "0 0".into();
        assert!(!made.is_owned());
    }
}
