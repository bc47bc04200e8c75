//! A layer: an image's files as one tar stream.

use std::{
    fs::File,
    io::{self, Read as _, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use super::{
    ArchiveError,
    tree::{Node, Source, flatten},
};
use crate::text::hex;
use crate::toolchain::TreeEntry;

/// Record size: tar streams are padded to a multiple of this, as by GNU tar.
const RECORD: u64 = 20 * 512;

/// Digest and size of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layer {
    /// SHA-256 of the stream in hexadecimal (`diff_id` in the OCI image specification).
    pub digest: String,
    /// Length of the stream in bytes.
    pub bytes: u64,
}

/// Writes the files of `tree` to `to`, which becomes part of the archive `archive`: sorted by path,
/// with timestamps 0 and owner root. Extended attributes and hard links are not kept: a second name
/// of a file is a second copy. `image` is for errors.
///
/// # Errors
/// A file cannot be read or the stream cannot be written.
pub(super) fn write(
    image: &str,
    tree: &[TreeEntry],
    to: &mut impl Write,
    archive: &Path,
) -> Result<Layer, ArchiveError> {
    let nodes = flatten(image, tree)?;
    let unwritable = |source| ArchiveError::Unwritable {
        path: archive.to_owned(),
        source,
    };
    let mut builder = Builder::new(Hashing::new(to));
    for (at, node) in nodes {
        let put = match node {
            Node::Dir { mode } => {
                let header = header(EntryType::Directory, mode, 0);
                append(&mut builder, header, &at.join(""), io::empty()) // ends with a slash
            }
            Node::Link { to } => {
                builder.append_link(&mut header(EntryType::Symlink, 0o777, 0), &at, to)
            }
            Node::File {
                from: Source::Bytes(bytes),
                mode,
            } => {
                let header = header(EntryType::Regular, mode, bytes.len() as u64);
                append(&mut builder, header, &at, bytes.as_slice())
            }
            Node::File {
                from: Source::Host(host),
                mode,
            } => {
                append_host(&mut builder, &at, mode, image, host, unwritable)?;
                Ok(())
            }
        };
        put.map_err(unwritable)?;
    }
    let mut written = builder.into_inner().map_err(unwritable)?;
    let rest = filling(written.bytes);
    written.write_all(&rest).map_err(unwritable)?;
    Ok(written.layer())
}

fn append_host<W: Write>(
    builder: &mut Builder<W>,
    at: &Path,
    mode: u32,
    image: &str,
    host: PathBuf,
    unwritable: impl Fn(io::Error) -> ArchiveError,
) -> Result<(), ArchiveError> {
    let opened = File::open(&host).and_then(|file| Ok((file.metadata()?.len(), file)));
    let (bytes, file) = opened.map_err(|source| ArchiveError::Unreadable {
        image: image.to_owned(),
        path: host.clone(),
        source,
    })?;
    let mut contents = file.take(bytes);
    let header = header(EntryType::Regular, mode, bytes);
    append(builder, header, at, &mut contents).map_err(unwritable)?;
    match contents.limit() {
        0 => Ok(()),
        _ => Err(ArchiveError::Changed {
            image: image.to_owned(),
            path: host,
        }),
    }
}

/// A header that depends only on the arguments, not on the machine.
pub(super) fn header(kind: EntryType, mode: u32, bytes: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(bytes);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// Adds a file or directory. A name that is too long for the header gets an extra header, which the
/// library writes.
fn append<W: Write>(
    builder: &mut Builder<W>,
    mut header: Header,
    at: &Path,
    contents: impl io::Read,
) -> io::Result<()> {
    match header.set_path(at) {
        Ok(()) => {
            seal(&mut header);
            builder.append(&header, contents)
        }
        Err(_) => builder.append_data(&mut header, at, contents),
    }
}

/// Writes the checksum as GNU tar and most others do: six digits, a NUL and a space. The same files
/// then give the same layer as with other programs.
pub(super) fn seal(header: &mut Header) {
    header.set_cksum(); // seven digits and a NUL
    let field = &mut header.as_old_mut().cksum;
    field.rotate_left(1);
    field[7] = b' ';
}

/// The padding of a tar stream of `bytes` bytes to whole records.
pub(super) fn filling(bytes: u64) -> Vec<u8> {
    vec![0; (bytes.next_multiple_of(RECORD) - bytes) as usize]
}

/// A writer that counts and hashes what it passes on.
pub(super) struct Hashing<W> {
    to: W,
    hash: Sha256,
    bytes: u64,
}

impl<W> Hashing<W> {
    pub(super) fn new(to: W) -> Self {
        let hash = Sha256::new();
        Self { to, hash, bytes: 0 }
    }

    /// Digest and size of what has been written.
    pub(super) fn layer(self) -> Layer {
        Layer {
            digest: hex(&self.hash.finalize()),
            bytes: self.bytes,
        }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.to.write(buffer)?;
        self.hash.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
