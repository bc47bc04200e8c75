//! Images with several layers, and archives of images that share layers, in the format of
//! `docker save`.
//!
//! The archives of [`super::archive`] have one layer per image and are read by runtimes only.
//! kind's builder also reads archives, and takes image names from the first list that it finds;
//! from `manifest.json` it reads only those of the first image. So here `repositories` comes first,
//! and with it everything that depends on the digests of layers, which are therefore read twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    rc::Rc,
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::EntryType;

use super::{
    ArchiveError,
    archive::{architecture, layer_member},
    error::unwritable,
    layer::{self, Hashing, filling, header, seal},
    whole::whole,
};
use crate::text::hex;
use crate::toolchain::TreeEntry;

/// Block size of tar: every header is one block, and contents are padded to whole blocks.
const BLOCK: u64 = 512;
/// A container's program search path.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where the files of a layer come from.
#[derive(Debug, Clone)]
enum Files {
    /// An uncompressed tar archive, used as the layer unchanged.
    Tar(PathBuf),
    Tree(Vec<TreeEntry>),
}

/// A layer whose digest is known before it is written.
#[derive(Debug, Clone)]
pub struct Layer {
    /// For errors.
    image: String,
    files: Files,
    sum: layer::Layer,
}

impl Layer {
    /// A tar archive as a layer. `image` is for errors.
    ///
    /// # Errors
    /// The archive cannot be read.
    pub fn of_tar(image: &str, path: &Path) -> Result<Self, ArchiveError> {
        Self::measured(image, Files::Tar(path.to_owned()))
    }

    /// A layer with these files. The same files give the same layer.
    ///
    /// # Errors
    /// A file cannot be read, or entries conflict.
    pub fn of_tree(image: &str, tree: Vec<TreeEntry>) -> Result<Self, ArchiveError> {
        Self::measured(image, Files::Tree(tree))
    }

    fn measured(image: &str, files: Files) -> Result<Self, ArchiveError> {
        let sum = files.write(image, &mut io::sink(), Path::new(""))?;
        Ok(Self {
            image: image.to_owned(),
            files,
            sum,
        })
    }

    /// Writes it, and checks that its digest has not changed.
    fn write(&self, to: &mut impl Write, archive: &Path) -> Result<(), ArchiveError> {
        match self.files.write(&self.image, to, archive)? == self.sum {
            true => Ok(()),
            false => Err(ArchiveError::Changed {
                image: self.image.clone(),
                path: match &self.files {
                    Files::Tar(path) => path.clone(),
                    Files::Tree(_) => PathBuf::from("/"),
                },
            }),
        }
    }
}

impl Files {
    fn write(
        &self,
        image: &str,
        to: &mut impl Write,
        archive: &Path,
    ) -> Result<layer::Layer, ArchiveError> {
        let path = match self {
            Self::Tree(tree) => return layer::write(image, tree, to, archive),
            Self::Tar(path) => path,
        };
        let unreadable = |source| ArchiveError::Unreadable {
            image: image.to_owned(),
            path: path.clone(),
            source,
        };
        let mut file = File::open(path).map_err(unreadable)?;
        let mut to = Hashing::new(to);
        // A write error is reported as a read error too; its message has the system's error.
        io::copy(&mut file, &mut to).map_err(unreadable)?;
        Ok(to.layer())
    }
}

/// How a container starts.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// Program and leading arguments.
    pub entrypoint: Vec<String>,
    /// `NAME=VALUE`, in addition to PATH.
    pub env: Vec<String>,
    /// `USER:GROUP`; root if empty.
    pub user: String,
    /// Signal that stops it, instead of SIGTERM.
    pub stop_signal: Option<String>,
}

/// An image: layers, bottom first, and how a container starts.
#[derive(Debug, Clone)]
pub struct Layered {
    names: Vec<String>,
    layers: Vec<Rc<Layer>>,
    config: String,
    id: String,
}

impl Layered {
    /// `names` have tags, as in `docker images`.
    #[must_use]
    pub fn new(names: Vec<String>, layers: Vec<Rc<Layer>>, start: &Start) -> Self {
        let config = config(&layers, start).to_string();
        let id = hex(&Sha256::digest(&config));
        Self {
            names,
            layers,
            config,
            id,
        }
    }
}

/// The image's configuration (OCI image specification, "Image Configuration"), without unset
/// fields.
fn config(layers: &[Rc<Layer>], start: &Start) -> Value {
    let env = std::iter::once(PATH).chain(start.env.iter().map(String::as_str));
    let mut config = json!({"Env": Vec::from_iter(env), "WorkingDir": "/"});
    if !start.entrypoint.is_empty() {
        config["Entrypoint"] = json!(start.entrypoint);
    }
    if !start.user.is_empty() {
        config["User"] = json!(start.user);
    }
    if let Some(signal) = &start.stop_signal {
        config["StopSignal"] = json!(signal);
    }
    let digests = layers
        .iter()
        .map(|layer| format!("sha256:{}", layer.sum.digest));
    json!({
        "architecture": architecture(),
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": Vec::from_iter(digests)},
    })
}

/// Writes an archive of these images to the file `to`, atomically.
///
/// # Errors
/// It cannot be written, or a file of a layer has changed.
pub fn save(images: &[Layered], to: &Path) -> Result<(), ArchiveError> {
    whole(to, |file| {
        let mut file = BufWriter::new(file);
        Archive::of(images).write(&mut file, to)?;
        file.flush().map_err(|source| unwritable(to, source))
    })
}

/// An archive of images, ready to be written. A shared layer is in it once.
pub(super) struct Archive {
    texts: Vec<(String, Vec<u8>)>,
    layers: Vec<Rc<Layer>>,
}

impl Archive {
    pub(super) fn of(images: &[Layered]) -> Self {
        let mut names: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
        let tagged = images.iter().flat_map(|image| {
            let id = image.id.as_str();
            image.names.iter().map(move |name| (name, id))
        });
        for (name, id) in tagged {
            let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
            names.entry(repository).or_default().insert(tag, id);
        }
        let manifest = images.iter().map(|image| {
            let layers = image.layers.iter();
            let layers = layers.map(|layer| layer_member(&layer.sum.digest));
            json!({"Config": format!("{}.json", image.id), "RepoTags": image.names, "Layers": Vec::from_iter(layers)})
        });
        let mut texts = vec![
            ("repositories".to_owned(), json!(names).to_string().into()),
            (
                "manifest.json".to_owned(),
                Value::from_iter(manifest).to_string().into(),
            ),
        ];
        let mut there = BTreeSet::new();
        for image in images.iter().filter(|image| there.insert(&image.id)) {
            let config = image.config.clone().into_bytes();
            texts.push((format!("{}.json", image.id), config));
        }
        let mut there = BTreeSet::new();
        let layers = images.iter().flat_map(|image| &image.layers);
        let layers = layers.filter(|layer| there.insert(&layer.sum.digest));
        Self {
            texts,
            layers: layers.cloned().collect(),
        }
    }

    /// Its size in bytes.
    pub(super) fn bytes(&self) -> u64 {
        let texts = self.texts.iter().map(|(_, text)| text.len() as u64);
        let layers = self.layers.iter().map(|layer| layer.sum.bytes);
        let members = texts.chain(layers);
        let bytes = members
            .map(|bytes| BLOCK + bytes.next_multiple_of(BLOCK))
            .sum::<u64>()
            + END;
        bytes + filling(bytes).len() as u64
    }

    /// Writes the archive. `path` is its destination, for errors.
    pub(super) fn write(&self, to: &mut impl Write, path: &Path) -> Result<(), ArchiveError> {
        let failed = |source| unwritable(path, source);
        let mut tar = Members::new(to);
        for (name, text) in &self.texts {
            tar.add(name, 0o644, text).map_err(failed)?;
        }
        for layer in &self.layers {
            let name = layer_member(&layer.sum.digest);
            tar.begin(&name, 0o644, layer.sum.bytes).map_err(failed)?;
            layer.write(tar.contents(), path)?;
            tar.end(layer.sum.bytes).map_err(failed)?;
        }
        tar.finish().map_err(failed)
    }
}

/// Size of tar's end-of-archive marker: two zero blocks.
const END: u64 = 2 * BLOCK;

/// A tar stream of files of known size, in which a file can be written piece by piece.
pub(super) struct Members<'a, W> {
    to: &'a mut W,
    bytes: u64,
}

impl<'a, W: Write> Members<'a, W> {
    pub(super) fn new(to: &'a mut W) -> Self {
        Self { to, bytes: 0 }
    }

    pub(super) fn add(&mut self, name: &str, mode: u32, contents: &[u8]) -> io::Result<()> {
        let bytes = contents.len() as u64;
        self.begin(name, mode, bytes)?;
        self.to.write_all(contents)?;
        self.end(bytes)
    }

    /// Begins a file. Exactly `bytes` bytes must be written to [`Self::contents`], and then
    /// [`Self::end`] called.
    pub(super) fn begin(&mut self, name: &str, mode: u32, bytes: u64) -> io::Result<()> {
        let mut header = header(EntryType::Regular, mode, bytes);
        header.set_path(name)?;
        seal(&mut header);
        self.to.write_all(header.as_bytes())
    }

    pub(super) fn contents(&mut self) -> &mut W {
        self.to
    }

    pub(super) fn end(&mut self, bytes: u64) -> io::Result<()> {
        let full = bytes.next_multiple_of(BLOCK);
        self.bytes += BLOCK + full;
        self.to.write_all(&vec![0; (full - bytes) as usize])
    }

    pub(super) fn finish(self) -> io::Result<()> {
        self.to.write_all(&[0; END as usize])?;
        self.to.write_all(&filling(self.bytes + END))
    }
}

#[cfg(test)]
#[path = "save_tests.rs"]
mod tests;
