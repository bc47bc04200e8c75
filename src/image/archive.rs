//! Archives that `docker load`, `ctr images import` and `kind load image-archive` read.
//!
//! The format is that of `docker save`: one tar with `manifest.json`, and for every image a layer
//! (itself a tar) and an OCI image configuration. Archives are reproducible: they do not depend on
//! when, where or by whom they were written, and the same files give the same bytes.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufWriter, Seek as _, SeekFrom, Write as _},
    path::Path,
};

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::EntryType;

use super::{
    ArchiveError,
    error::unwritable,
    layer::{self, Layer, header, seal},
    whole::whole,
};
use crate::text::hex;
use crate::toolchain::Image;

/// Block size of tar: every header is one block, and contents are padded to whole blocks.
const BLOCK: usize = 512;
/// The only timestamp in an archive.
const EPOCH: &str = "1970-01-01T00:00:00Z";

/// An image that was written to an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WrittenImage {
    /// Its name with a tag, as in `docker images`.
    pub name: String,
    /// `sha256:` and the digest of the configuration, which Docker calls the image's id.
    pub id: String,
    /// `sha256:` and the digest of the layer.
    pub layer: String,
    /// Size of the layer in bytes.
    pub bytes: u64,
}

/// Writes one image to the archive `to`.
///
/// # Errors
/// As [`write_all`].
pub fn write(image: &Image, to: &Path) -> Result<WrittenImage, ArchiveError> {
    let mut written = write_all(std::slice::from_ref(image), to)?;
    Ok(written.remove(0))
}

/// Writes images to the archive `to`, atomically. Files and directories that an image binds from
/// this machine are copied as they are now, block by block: what the local node binds read-only is
/// a writable copy in a container. An image without a tag gets `latest`.
///
/// # Errors
/// [`ArchiveError`] if a file of an image cannot be read, an image cannot be a layer, or the
/// archive cannot be written.
pub fn write_all(images: &[Image], to: &Path) -> Result<Vec<WrittenImage>, ArchiveError> {
    whole(to, |file| {
        let mut archive = Archive::of(file, to);
        let written = images
            .iter()
            .map(|image| archive.add(image))
            .collect::<Result<Vec<_>, _>>()?;
        archive.finish()?;
        Ok(written)
    })
}

struct Archive<'a> {
    file: BufWriter<File>,
    /// Its path, for errors.
    path: &'a Path,
    /// Names of the files in it.
    members: BTreeSet<String>,
    manifest: Vec<Value>,
}

impl<'a> Archive<'a> {
    fn of(file: File, path: &'a Path) -> Self {
        Self {
            file: BufWriter::new(file),
            path,
            members: BTreeSet::new(),
            manifest: Vec::new(),
        }
    }

    fn add(&mut self, image: &Image) -> Result<WrittenImage, ArchiveError> {
        let layer = self.add_layer(image)?;
        let config = config(image, &layer.digest).to_string();
        let id = hex(&Sha256::digest(&config));
        let (name, member) = (tagged(&image.name), format!("{id}.json"));
        self.manifest.push(json!({
            "Config": member,
            "RepoTags": [name],
            "Layers": [layer_member(&layer.digest)],
        }));
        self.add_bytes(member, config.as_bytes())
            .map_err(|source| unwritable(self.path, source))?;
        Ok(WrittenImage {
            name,
            id: format!("sha256:{id}"),
            layer: format!("sha256:{}", layer.digest),
            bytes: layer.bytes,
        })
    }

    /// The layer's tar header has its digest and size, so it is written after the layer. A
    /// duplicate layer is removed again.
    fn add_layer(&mut self, image: &Image) -> Result<Layer, ArchiveError> {
        let path = self.path;
        let failed = |source| unwritable(path, source);
        let start = self.file.stream_position().map_err(failed)?;
        self.file.write_all(&[0; BLOCK]).map_err(failed)?;
        let layer = layer::write(&image.name, &image.tree, &mut self.file, path)?;
        let end = self.file.stream_position().map_err(failed)?;
        let member = layer_member(&layer.digest);
        self.file.seek(SeekFrom::Start(start)).map_err(failed)?;
        if self.members.contains(&member) {
            self.file.get_ref().set_len(start).map_err(failed)?;
            return Ok(layer);
        }
        self.add_header(&member, layer.bytes).map_err(failed)?;
        self.members.insert(member);
        self.file.seek(SeekFrom::Start(end)).map_err(failed)?;
        Ok(layer) // a tar stream consists of whole blocks, so no padding is needed
    }

    fn add_bytes(&mut self, member: String, bytes: &[u8]) -> io::Result<()> {
        if self.members.contains(&member) {
            return Ok(());
        }
        self.add_header(&member, bytes.len() as u64)?;
        self.file.write_all(bytes)?;
        let rest = bytes.len().next_multiple_of(BLOCK) - bytes.len();
        self.file.write_all(&[0; BLOCK][..rest])?;
        self.members.insert(member);
        Ok(())
    }

    fn add_header(&mut self, member: &str, bytes: u64) -> io::Result<()> {
        let mut header = header(EntryType::Regular, 0o644, bytes);
        header.set_path(member)?;
        seal(&mut header);
        self.file.write_all(header.as_bytes())
    }

    fn finish(mut self) -> Result<(), ArchiveError> {
        let manifest = Value::from(std::mem::take(&mut self.manifest)).to_string();
        let path = self.path;
        self.add_bytes("manifest.json".to_owned(), manifest.as_bytes())
            .and_then(|()| self.file.write_all(&[0; 2 * BLOCK])) // the end-of-archive marker
            .and_then(|()| self.file.flush())
            .map_err(|source| unwritable(path, source))
    }
}

/// A layer's file name in an archive.
pub(super) fn layer_member(digest: &str) -> String {
    format!("{digest}.tar")
}

/// The image's configuration (OCI image specification, "Image Configuration").
fn config(image: &Image, layer: &str) -> Value {
    let env: Vec<String> = image
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let user = image.user.map_or_else(String::new, |id| id.to_string());
    json!({
        "architecture": architecture(),
        "os": "linux",
        "created": EPOCH,
        "config": {
            "Entrypoint": image.entrypoint,
            "Env": env,
            "User": user,
            "WorkingDir": image.workdir.display().to_string(),
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer}")]},
        "history": [{"created": EPOCH, "created_by": "meshproof"}],
    })
}

/// This machine's architecture in Go's notation: the programs of an image are this machine's.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The name with a tag. A digest is dropped, as in image lookups.
fn tagged(name: &str) -> String {
    let name = name.split('@').next().unwrap_or(name);
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    match name[last..].contains(':') {
        true => name.to_owned(),
        false => format!("{name}:latest"),
    }
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
