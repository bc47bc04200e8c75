//! Reads one text file of somebody's, within limits of size and time.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use nix::{
    fcntl::OFlag,
    sys::statfs::{FsType, PROC_SUPER_MAGIC, SYSFS_MAGIC, fstatfs},
};
use thiserror::Error;

use crate::yaml::{MAX_SIZE, Position, unmarked};

/// A file or folder that cannot be read, or a word that names none.
#[derive(Debug, Error)]
pub enum LoadError {
    #[error("cannot read {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("'{word}' is neither a file, a folder, nor the id of a scenario: {help}")]
    Nothing { word: String, help: String },
    #[error("{path} has more than {MAX_SIZE} bytes")]
    TooLarge { path: PathBuf },
    #[error("{path} is {what}, not a file")]
    NotRegular { path: PathBuf, what: &'static str },
    #[error("{path} is not UTF-8")]
    NotText {
        path: PathBuf,
        /// The text with replacement characters.
        text: Arc<str>,
        /// Of the first byte that is none of UTF-8.
        place: Position,
        /// It begins with the byte order mark of UTF-16.
        wide: bool,
    },
    #[error("the name of {path} is not UTF-8, or holds control characters")]
    Name { path: PathBuf },
    #[error("{path} holds too many files and folders for a suite")]
    TooMany { path: PathBuf },
    #[error("{path} lies too many folders deep")]
    TooDeep { path: PathBuf },
}

impl LoadError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    /// The file or folder that it is about.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Nothing { .. } => None,
            Self::Io { path, .. }
            | Self::TooLarge { path }
            | Self::NotRegular { path, .. }
            | Self::NotText { path, .. }
            | Self::Name { path }
            | Self::TooMany { path }
            | Self::TooDeep { path } => Some(path),
        }
    }

    /// The way out.
    pub fn help(&self) -> String {
        let help = match self {
            Self::Nothing { help, .. } => return help.clone(),
            Self::Io { .. } => "make it readable, or take it out of the folder",
            Self::TooLarge { .. } => "split it: suite files and manifests have at most 1 MiB",
            Self::NotRegular { .. } => "put a regular file there, or a link to one",
            Self::NotText { wide: true, .. } => "it seems to be UTF-16: save it as UTF-8",
            Self::NotText { .. } => "save it as UTF-8",
            Self::Name { .. } => "rename it: ids are made of file names",
            Self::TooMany { .. } => "name the folder of the suite itself",
            Self::TooDeep { .. } => "ids have a few parts: move it up, or name its folder",
        };
        help.to_owned()
    }
}

/// Text of a file without its byte order mark; `None` when there is none of this name.
///
/// Only regular files are read, and never more of them than [`MAX_SIZE`]: a FIFO, a device or a
/// file of the kernel (`/proc/kmsg`) may block or never end.
///
/// # Errors
/// See [`LoadError`].
pub fn read(path: &Path) -> Result<Option<String>, LoadError> {
    let wrap = |source| LoadError::io(path, source);
    let meta = match std::fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if is_nothing(&error) => return Ok(None),
        Err(error) => return Err(wrap(error)),
    };
    if !meta.is_file() {
        return Err(not_regular(path, kind(&meta)));
    }
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
        .map_err(wrap)?;
    // It may be another one by now.
    if !file.metadata().map_err(wrap)?.is_file() {
        return Err(not_regular(path, "something else by now"));
    }
    if is_of_the_kernel(&file) {
        return Err(not_regular(path, "made by the kernel"));
    }
    let mut bytes = Vec::new();
    let most = MAX_SIZE as u64 + 1;
    file.take(most).read_to_end(&mut bytes).map_err(wrap)?;
    if bytes.len() > MAX_SIZE {
        let path = path.to_owned();
        return Err(LoadError::TooLarge { path });
    }
    text(path, bytes).map(Some)
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn not_regular(path: &Path, what: &'static str) -> LoadError {
    LoadError::NotRegular {
        path: path.to_owned(),
        what,
    }
}

fn kind(meta: &std::fs::Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;
    let kind = meta.file_type();
    if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

/// A file of `/proc` or `/sys`: regular by its type, but reading it may wait or do something.
fn is_of_the_kernel(file: &File) -> bool {
    let made = |kind: FsType| kind == PROC_SUPER_MAGIC || kind == SYSFS_MAGIC;
    fstatfs(file).is_ok_and(|stat| made(stat.filesystem_type()))
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<String, LoadError> {
    let wide = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    match String::from_utf8(bytes) {
        Ok(text) if text.starts_with('\u{feff}') => Ok(unmarked(&text).to_owned()),
        Ok(text) => Ok(text),
        Err(error) => {
            let offset = error.utf8_error().valid_up_to();
            // The replacement characters come after it, so that the offset holds.
            let text: Arc<str> = String::from_utf8_lossy(error.as_bytes()).into();
            Err(LoadError::NotText {
                path: path.to_owned(),
                place: Position::at(&text, offset, 1),
                text,
                wide,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_bytes(bytes: &[u8]) -> Result<Option<String>, LoadError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.yaml");
        std::fs::write(&path, bytes).expect("written");
        read(&path)
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        let text = read_bytes(b"\xef\xbb\xbfa: 1\n").expect("readable");
        assert_eq!(text.as_deref(), Some("a: 1\n"));
    }

    #[test]
    fn bytes_that_are_no_utf_8_have_a_line() {
        let error = read_bytes(b"a: 1\nb: \xe4\n").expect_err("Latin-1");
        let LoadError::NotText { place, wide, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!((place.line, place.column, *wide), (2, 4, false));
        let error = read_bytes(b"\xff\xfea\0").expect_err("UTF-16");
        assert!(error.help().contains("UTF-16"));
    }

    #[test]
    fn a_file_that_is_none_is_neither_waited_for_nor_read_without_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let fifo = folder.path().join("fifo.yaml");
        let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
        nix::unistd::mkfifo(&fifo, mode).expect("made");
        for (path, what) in [
            (fifo.as_path(), "FIFO"),
            (Path::new("/dev/zero"), "device"),
            (Path::new("/proc/self/status"), "kernel"),
            (folder.path(), "folder"),
        ] {
            let error = read(path).expect_err("no file");
            assert!(error.to_string().contains(what), "{error}");
        }
        assert!(matches!(read(&folder.path().join("x")), Ok(None)));
        assert!(read_bytes(&vec![b'#'; MAX_SIZE + 1]).is_err(), "too large");
        assert!(read_bytes(&vec![b'#'; MAX_SIZE]).is_ok());
    }
}
