//! Takes a report directory for one run: it is locked against other runs, the files of an earlier
//! run are removed, and all other files stay.
//!
//! Files of an earlier run are known by its event log: the reports have fixed names, and its
//! events name the evidence.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufReader, Seek as _, SeekFrom},
    os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::{jsonl, render};
use crate::{
    event::{Event, EventKind},
    evidence::{
        bundle::{file_name, inside},
        dir::{self, FILE_MODE},
    },
    scenario::loaded::run_name,
};

/// An error using a report directory.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error(
        "another run is writing its reports to {0}; set another --report-dir, or wait for that run to end"
    )]
    InUse(PathBuf),
    #[error(
        "{0} was not written by meshproof and would be replaced; set another --report-dir, or move the file away"
    )]
    Foreign(PathBuf),
    #[error("{0} is not a regular file; set another --report-dir, or move it away")]
    NoFile(PathBuf),
    #[error("can't use the report directory {path}")]
    Io { path: PathBuf, source: io::Error },
}

impl FolderError {
    /// Returns whether the user can request something else: nothing failed.
    pub fn is_usage(&self) -> bool {
        !matches!(self, Self::Io { .. })
    }
}

/// Creates the directory if it does not exist, locks it while the returned file is open, and
/// removes what an earlier run left. The file is the event log, empty.
///
/// # Errors
/// [`FolderError`]; nothing was changed then, unless a file of an earlier run can't be removed.
pub fn take(dir: &Path) -> Result<File, FolderError> {
    let wrong = |path: &Path| {
        let path = path.to_owned();
        move |source| FolderError::Io { path, source }
    };
    dir::make(dir).map_err(wrong(dir))?;
    let path = dir.join(jsonl::FILE);
    // Reports of meshproof have a log next to them.
    let foreign = || render::present(dir).map_or(Ok(()), |path| Err(FolderError::Foreign(path)));
    if fs::symlink_metadata(&path).is_err() {
        foreign()?;
    }
    let mut log = open(&path)?;
    let earlier = match is_regular(&log) {
        true => jsonl::salvage(BufReader::new(&log)),
        false => Ok(None),
    };
    match earlier {
        Err(_) => return Err(FolderError::Foreign(path)),
        Ok(None) => foreign()?,
        Ok(Some(events)) => {
            remove_evidence(dir, &events)?;
            render::remove_all(dir);
        }
    }
    if is_regular(&log) {
        log.set_len(0).map_err(wrong(&path))?;
        log.seek(SeekFrom::Start(0)).map_err(wrong(&path))?;
    }
    Ok(log)
}

/// Locks a report directory of meshproof that no run is writing to.
///
/// # Errors
/// [`FolderError`].
pub fn lock_for_reports(dir: &Path) -> Result<File, FolderError> {
    open(&dir.join(jsonl::FILE))
}

fn is_regular(file: &File) -> bool {
    file.metadata().is_ok_and(|meta| meta.is_file())
}

/// Opens the log and locks it if it is a file. A device is written to without a lock; anything
/// else that is not a file, or could block, is rejected.
fn open(path: &Path) -> Result<File, FolderError> {
    let wrong = |source| FolderError::Io {
        path: path.to_owned(),
        source,
    };
    match fs::metadata(path) {
        Ok(meta) if !meta.is_file() && !meta.file_type().is_char_device() => {
            return Err(FolderError::NoFile(path.to_owned()));
        }
        _ => {}
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(path)
        .map_err(wrong)?;
    if !is_regular(&file) {
        return Ok(file);
    }
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            let dir = path.parent().unwrap_or(Path::new("."));
            Err(FolderError::InUse(dir.to_owned()))
        }
        // Some file systems have no locks; a report without a lock is better than none.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}

/// Removes the evidence that an earlier log names, and directories that are empty afterwards.
fn remove_evidence(dir: &Path, events: &[Event]) -> Result<(), FolderError> {
    let mut folders = BTreeSet::new();
    for event in events {
        let EventKind::Evidence {
            id, attempt, file, ..
        } = &event.kind
        else {
            continue;
        };
        let folder = Path::new("evidence").join(inside(&run_name(id, *attempt)));
        let path = dir.join(&folder).join(file_name(file));
        let ours = fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file());
        if ours {
            fs::remove_file(&path).map_err(|source| FolderError::Io { path, source })?;
        }
        folders.extend(folder.ancestors().map(Path::to_owned));
    }
    folders.remove(Path::new(""));
    // Innermost directories first; directories with other files stay.
    for folder in folders.iter().rev() {
        let _ = fs::remove_dir(dir.join(folder));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(id: &str, attempt: u32, file: &str) -> String {
        format!(
            r#"{{"at_ms":1,"event":"evidence","id":"{id}","attempt":{attempt},"file":"{file}","caption":"c"}}"#
        )
    }

    /// A directory with files of an earlier run and other files.
    fn used() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        let begin = std::fs::read_to_string("fixtures/golden/all-pass.jsonl").expect("read");
        let begin = begin.lines().next().expect("a line").to_owned();
        let lines = [
            begin,
            evidence("routing/a", 0, "step-1-x.jsonl"),
            evidence("routing/a", 2, "step-1-x.jsonl"),
            evidence("../..", 0, "../../outside"),
            "{torn".to_owned(),
        ];
        fs::write(dir.path().join(jsonl::FILE), lines.join("\n")).expect("written");
        for file in [
            "report.json",
            "evidence/routing/a/step-1-x.jsonl",
            "evidence/routing/a/mine.txt",
            "evidence/routing/a~2/step-1-x.jsonl",
            "notes/mine.txt",
        ] {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, "x").expect("written");
        }
        dir
    }

    #[test]
    fn what_an_earlier_run_left_goes_and_all_else_stays() {
        let dir = used();
        let log = take(dir.path()).expect("taken");
        assert_eq!(log.metadata().expect("there").len(), 0);
        let there = |file: &str| dir.path().join(file).exists();
        for gone in [
            "report.json",
            "evidence/routing/a/step-1-x.jsonl",
            "evidence/routing/a~2",
        ] {
            assert!(!there(gone), "{gone} still exists");
        }
        assert!(there("evidence/routing/a/mine.txt") && there("notes/mine.txt"));
    }

    #[test]
    fn two_runs_never_share_a_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = take(dir.path()).expect("taken");
        let second = take(dir.path()).expect_err("in use");
        assert!(matches!(second, FolderError::InUse(_)) && second.is_usage());
        assert!(lock_for_reports(dir.path()).is_err());
        drop(first);
        take(dir.path()).expect("free again");
    }

    #[test]
    fn a_report_of_somebody_else_is_not_replaced() {
        for file in ["report.json", "summary.md", "events.jsonl"] {
            let dir = tempfile::tempdir().expect("a directory");
            fs::write(dir.path().join(file), "mine\n").expect("written");
            let error = take(dir.path()).expect_err("foreign");
            assert!(
                error.is_usage() && error.to_string().contains(file),
                "{error}"
            );
            let text = fs::read_to_string(dir.path().join(file)).expect("there");
            assert_eq!(text, "mine\n");
        }
    }

    #[test]
    fn a_report_of_somebody_else_is_not_replaced_beside_an_empty_log() {
        let dir = tempfile::tempdir().expect("a directory");
        let report = dir.path().join("report.json");
        fs::write(dir.path().join(jsonl::FILE), "").expect("written");
        fs::write(&report, "mine\n").expect("written");
        let error = take(dir.path()).expect_err("foreign");
        assert!(
            matches!(&error, FolderError::Foreign(path) if *path == report),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&report).expect("there"), "mine\n");
    }

    #[test]
    fn what_would_block_is_refused_at_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(jsonl::FILE);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("made");
        assert!(matches!(take(dir.path()), Err(FolderError::NoFile(_))));
    }

    #[test]
    fn nobody_else_may_read_what_a_run_saw() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().expect("a directory");
        let out = dir.path().join("out");
        let log = take(&out).expect("taken");
        let mode = |meta: fs::Metadata| meta.permissions().mode() & 0o007;
        assert_eq!(mode(log.metadata().expect("there")), 0);
        assert_eq!(mode(fs::metadata(&out).expect("there")), 0);
    }
}
