//! The report directory: files are written atomically, and evidence goes where reports link to
//! it.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::dir::{self, FILE_MODE};
use super::redact::Redactor;
use crate::errors::{Classified, ErrorClass};

#[derive(Debug, thiserror::Error)]
#[error("can't write {path}")]
pub struct WriteError {
    path: PathBuf,
    source: io::Error,
}

impl Classified for WriteError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Machine
    }
}

impl WriteError {
    /// Returns a copy. `io::Error` is not `Clone`.
    fn again(&self) -> Self {
        let source = match self.source.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(self.source.kind(), self.source.to_string()),
        };
        Self {
            path: self.path.clone(),
            source,
        }
    }
}

/// Evidence with this prefix goes into a folder of its own.
const MANIFESTS: &str = "manifests/";

/// Writes into one report directory and masks secrets.
#[derive(Debug, Clone)]
pub struct Bundle {
    dir: PathBuf,
    redactor: Redactor,
    /// The first error of any clone in writing evidence.
    lost: Arc<Mutex<Option<WriteError>>>,
}

impl Bundle {
    /// Opens the directory, and creates it if it does not exist.
    ///
    /// # Errors
    /// The directory cannot be created.
    pub fn open(dir: &Path, redactor: Redactor) -> Result<Self, WriteError> {
        dir::make(dir).map_err(|source| WriteError {
            path: dir.to_owned(),
            source,
        })?;
        Ok(Self {
            dir: dir.to_owned(),
            redactor,
            lost: Arc::default(),
        })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes one piece of evidence of a scenario and returns its file name for the event. Names
    /// are sanitized so that they stay inside `evidence/<id>/`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn evidence(&self, id: &str, name: &str, text: &str) -> Result<String, WriteError> {
        self.keep(id, name, self.redactor.text(text).as_bytes())
    }

    /// Like [`Self::evidence`], for a picture. It is written unchanged, so it must not show a
    /// secret.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn picture(&self, id: &str, name: &str, bytes: &[u8]) -> Result<String, WriteError> {
        self.keep(id, name, bytes)
    }

    fn keep(&self, id: &str, name: &str, bytes: &[u8]) -> Result<String, WriteError> {
        let file = match name.strip_prefix(MANIFESTS) {
            Some(name) => format!("{MANIFESTS}{}", file_name(name)),
            None => file_name(name),
        };
        let path = self.dir.join("evidence").join(inside(id)).join(&file);
        let written = write_whole(&path, bytes);
        if let Err(error) = &written {
            let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
            lost.get_or_insert_with(|| error.again());
        }
        written.map(|()| file)
    }

    /// Takes the first error in writing evidence: a report with missing evidence is incomplete.
    pub fn lost(&self) -> Option<WriteError> {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.take()
    }
}

/// Writes a file atomically and creates its directory. Only a regular file is replaced: a
/// symbolic link is followed, and a device or a pipe is written to directly.
///
/// # Errors
/// The directory or the file cannot be written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    write(path, bytes).map_err(|source| WriteError {
        path: path.to_owned(),
        source,
    })
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_symlink() => match fs::canonicalize(path) {
            Ok(target) => return write(&target, bytes),
            // The link's target does not exist yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return through(path, bytes),
            Err(error) => return Err(error),
        },
        Ok(meta) if !meta.is_file() && !meta.is_dir() => return through(path, bytes),
        _ => {}
    }
    let dir = path
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    dir::make(dir)?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.part", std::process::id()));
    let temporary = PathBuf::from(temporary);
    // A killed process with the same process id may have left it.
    let _ = fs::remove_file(&temporary);
    let new = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(&temporary);
    let result = new
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&temporary, path));
    if result.is_err() {
        // Best effort: the error that matters is the one above.
        let _ = fs::remove_file(&temporary);
    }
    result
}

/// Writes to an existing device, pipe or link target without replacing it.
fn through(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut to = fs::OpenOptions::new();
    let to = to.write(true).create(true).truncate(true).mode(FILE_MODE);
    to.open(path)?.write_all(bytes)
}

/// Returns only the normal components of a scenario's id.
pub(crate) fn inside(id: &str) -> PathBuf {
    Path::new(id)
        .components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect()
}

pub(crate) fn file_name(name: &str) -> String {
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || "._-".contains(c) {
            c
        } else {
            '-'
        }
    };
    let name: String = name.chars().map(safe).collect();
    let name = name.trim_start_matches('.');
    if name.is_empty() {
        "evidence".into()
    } else {
        name.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_stays_inside_and_holds_no_secret() {
        let dir = tempfile::tempdir().expect("a directory");
        let redactor = Redactor::default();
        redactor.register("top-secret");
        let bundle = Bundle::open(dir.path(), redactor).expect("opened");
        let file = bundle
            .evidence("../../routing/a", "../x y.txt", "token top-secret")
            .expect("written");
        assert_eq!(file, "-x-y.txt");
        let text =
            fs::read_to_string(dir.path().join("evidence/routing/a").join(file)).expect("inside");
        assert_eq!(text, "token ***");
    }

    #[test]
    fn evidence_that_could_not_be_kept_is_remembered() {
        let dir = tempfile::tempdir().expect("a directory");
        let bundle = Bundle::open(dir.path(), Redactor::default()).expect("opened");
        fs::write(dir.path().join("evidence"), "in the way").expect("written");
        bundle
            .clone()
            .evidence("a", "x", "y")
            .expect_err("a file is in the way");
        let lost = bundle.lost().expect("remembered").to_string();
        assert!(lost.contains("evidence/a/x"), "{lost}");
    }

    #[test]
    fn links_lead_on_and_devices_stay_what_they_are() {
        let dir = tempfile::tempdir().expect("a directory");
        let link = |name: &str, to: &Path| {
            let link = dir.path().join(name);
            std::os::unix::fs::symlink(to, &link).expect("linked");
            link
        };
        let target = dir.path().join("kept/report.json");
        fs::create_dir(dir.path().join("kept")).expect("made");
        fs::write(&target, "old").expect("written");
        for link in [link("a", &target), link("b", Path::new("kept/new.json"))] {
            write_whole(&link, b"new").expect("written");
            assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
            assert_eq!(fs::read_to_string(&link).expect("read"), "new");
        }
        let null = link("null", Path::new("/dev/null"));
        write_whole(&null, b"x").expect("written");
        assert!(fs::symlink_metadata(&null).expect("there").is_symlink());
        let full = write_whole(&link("full", Path::new("/dev/full")), b"x");
        assert!(full.is_err(), "it is still the device");
        let mut left: Vec<_> = fs::read_dir(dir.path())
            .expect("listed")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["a", "b", "full", "kept", "null"]);
    }

    #[test]
    fn a_pipe_is_written_to() {
        use std::io::Read as _;
        let dir = tempfile::tempdir().expect("a directory");
        let pipe = dir.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("made");
        let to = pipe.clone();
        let writing = std::thread::spawn(move || write_whole(&to, b"x"));
        let mut text = String::new();
        let mut from = fs::File::open(&pipe).expect("opened");
        from.read_to_string(&mut text).expect("read");
        writing.join().expect("no panic").expect("written");
        assert_eq!(text, "x");
    }

    #[test]
    fn a_failed_write_leaves_nothing_and_names_the_file() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("report.json")).expect("a directory in the way");
        let error =
            write_whole(&dir.path().join("report.json"), b"x").expect_err("it is a directory");
        assert!(error.to_string().contains("report.json"), "{error}");
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1);
    }
}
