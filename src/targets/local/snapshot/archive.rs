//! The file of a snapshot: all files of a directory, behind the SHA-256 of everything that follows.
//!
//! ```text
//! <64 hexadecimal digits>\n
//! [{"path": "member/snap/db", "bytes": …, "stored": …}, …]\n
//! <contents, one after the other>
//! ```
//!
//! Zeros at the end of a file are not stored: etcd reserves 64 MB for its log.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Component, Path, PathBuf},
};

use crate::text::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Length of the digest in hexadecimal, with its line end.
const DIGEST: usize = 65;

/// Why a snapshot cannot be written or used.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("the snapshot does not match its SHA-256")]
    Damaged,
    #[error("cannot parse the snapshot's list of files")]
    List(#[source] serde_json::Error),
    /// A path that leads elsewhere, or more contents than the list has.
    #[error("the snapshot's list of files does not fit its contents")]
    Unfit,
}

/// One file of the directory.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    path: PathBuf,
    /// Length of the file.
    bytes: u64,
    /// Length without the zeros at its end.
    stored: usize,
}

fn reading(path: &Path) -> impl FnOnce(io::Error) -> ArchiveError + use<> {
    let path = path.to_owned();
    move |source| ArchiveError::Read { path, source }
}

fn writing(path: &Path) -> impl FnOnce(io::Error) -> ArchiveError + use<> {
    let path = path.to_owned();
    move |source| ArchiveError::Write { path, source }
}

/// Writes all files below `dir` into `file`, readable by its owner only, and waits until they are
/// on disk. Files whose names end in `.tmp` are left out: etcd makes them in advance.
///
/// # Errors
/// [`ArchiveError::Read`] or [`ArchiveError::Write`].
pub fn pack(dir: &Path, file: &Path) -> Result<(), ArchiveError> {
    let (mut entries, mut contents) = (Vec::new(), Vec::new());
    collect(dir, Path::new(""), &mut entries, &mut contents)?;
    let mut body = serde_json::to_vec(&entries).map_err(ArchiveError::List)?;
    body.push(b'\n');
    body.extend(contents);
    let write = || {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut to = options.open(file)?;
        writeln!(to, "{}", digest(&body))?;
        to.write_all(&body)?;
        to.sync_all()
    };
    write().map_err(writing(file))
}

fn collect(
    root: &Path,
    at: &Path,
    entries: &mut Vec<Entry>,
    contents: &mut Vec<u8>,
) -> Result<(), ArchiveError> {
    let dir = root.join(at);
    let children = fs::read_dir(&dir).map_err(reading(&dir))?;
    for child in children {
        let child = child.map_err(reading(&dir))?;
        let at = at.join(child.file_name());
        let path = root.join(&at);
        if child.file_type().map_err(reading(&path))?.is_dir() {
            collect(root, &at, entries, contents)?;
        } else if at.extension().is_none_or(|ending| ending != "tmp") {
            let text = fs::read(&path).map_err(reading(&path))?;
            let zeros = text.iter().rev().take_while(|byte| **byte == 0).count();
            let stored = text.len() - zeros;
            contents.extend(&text[..stored]);
            entries.push(Entry {
                path: at,
                bytes: text.len() as u64,
                stored,
            });
        }
    }
    Ok(())
}

/// Writes the files of a snapshot below `dir`, after checking its digest.
///
/// # Errors
/// [`ArchiveError`]: nothing is written if the snapshot is damaged.
pub fn unpack(file: &Path, dir: &Path) -> Result<(), ArchiveError> {
    let text = fs::read(file).map_err(reading(file))?;
    let (head, body) = text.split_at_checked(DIGEST).ok_or(ArchiveError::Damaged)?;
    if head != format!("{}\n", digest(body)).as_bytes() {
        return Err(ArchiveError::Damaged);
    }
    let end = body.iter().position(|byte| *byte == b'\n');
    let (list, contents) = body.split_at(end.ok_or(ArchiveError::Unfit)?);
    let entries: Vec<Entry> = serde_json::from_slice(list).map_err(ArchiveError::List)?;
    let mut rest = &contents[1..];
    for entry in entries {
        let plain = |part| matches!(part, Component::Normal(_));
        let inside = entry.path.components().all(plain);
        let part = rest.split_at_checked(entry.stored).filter(|_| inside);
        let (part, after) = part.ok_or(ArchiveError::Unfit)?;
        rest = after;
        let path = dir.join(&entry.path);
        write(&path, part, entry.bytes).map_err(writing(&path))?;
    }
    match rest.is_empty() {
        true => Ok(()),
        false => Err(ArchiveError::Unfit),
    }
}

/// A file of `bytes` bytes that begins with `part`; the others are zeros that take no space.
fn write(path: &Path, part: &[u8], bytes: u64) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::DirBuilder::new().recursive(true).create(parent)?;
        // etcd's own mode for its directories.
        fs::set_permissions(parent, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    }
    let mut file = File::create(path)?;
    file.write_all(part)?;
    file.set_len(bytes)
}

/// SHA-256 in hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A directory with files, and its snapshot.
    fn packed() -> (tempfile::TempDir, PathBuf) {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("etcd");
        fs::create_dir_all(dir.join("member/wal")).unwrap();
        fs::write(dir.join("member/db"), "contents").unwrap();
        let log = File::create(dir.join("member/wal/0.wal")).unwrap();
        (&log).write_all(b"a\0b").unwrap();
        log.set_len(1 << 20).unwrap();
        fs::write(dir.join("member/wal/0.tmp"), "").unwrap();
        let file = scratch.path().join("snapshot");
        pack(&dir, &file).unwrap();
        (scratch, file)
    }

    #[test]
    fn what_is_packed_is_unpacked_without_what_etcd_makes_in_advance() {
        let (scratch, file) = packed();
        let meta = fs::metadata(&file).unwrap();
        assert!(meta.len() < 400, "zeros are not stored");
        assert_eq!(meta.permissions().mode() & 0o777, 0o600);
        let (from, to) = (scratch.path().join("etcd"), scratch.path().join("again"));
        unpack(&file, &to).unwrap();
        for path in ["member/db", "member/wal/0.wal"] {
            let (from, to) = (fs::read(from.join(path)), fs::read(to.join(path)));
            assert_eq!(from.unwrap(), to.unwrap());
        }
        assert!(!to.join("member/wal/0.tmp").exists());
    }

    #[test]
    fn every_changed_byte_and_every_missing_end_is_noticed() {
        let (scratch, file) = packed();
        let good = fs::read(&file).unwrap();
        let to = scratch.path().join("again");
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&file, &bad).unwrap();
            assert!(unpack(&file, &to).is_err(), "byte {at}");
            fs::write(&file, &good[..at]).unwrap();
            assert!(unpack(&file, &to).is_err(), "the first {at} bytes");
        }
        assert!(!to.exists(), "nothing is written");
    }

    #[rstest::rstest]
    #[case::elsewhere(r#"[{"path":"../a","bytes":1,"stored":1}]"#, "x")]
    #[case::root(r#"[{"path":"/a","bytes":1,"stored":1}]"#, "x")]
    #[case::too_short(r#"[{"path":"a","bytes":2,"stored":2}]"#, "x")]
    #[case::too_long("[]", "x")]
    fn a_list_that_does_not_fit_is_rejected(#[case] list: &str, #[case] contents: &str) {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("snapshot");
        let body = format!("{list}\n{contents}");
        fs::write(&file, format!("{}\n{body}", digest(body.as_bytes()))).unwrap();
        let error = unpack(&file, &scratch.path().join("to")).unwrap_err();
        assert!(matches!(error, ArchiveError::Unfit), "{error}");
    }
}
