//! Container images as trees of files.
//!
//! The local node has no registry and no layers: an image is a name, a process to start and a list
//! of what appears where in the container's root. The node creates a small writable root and
//! applies the list in order, so a parent always precedes its children.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
};

use crate::errors::{Classified, ErrorClass};

/// One entry of a container's root. Paths named `at` are absolute paths in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeEntry {
    /// A file or directory of the host, bind-mounted.
    Bind {
        host: PathBuf,
        at: PathBuf,
        read_only: bool,
    },
    /// A small file with these contents, mode 0644.
    File { at: PathBuf, contents: Vec<u8> },
    /// A symbolic link at `at` that points to `to` (which may be relative, as in symlink(2)).
    Link { at: PathBuf, to: PathBuf },
    /// An empty writable directory with these permission bits.
    Dir { at: PathBuf, mode: u32 },
}

impl TreeEntry {
    /// A read-only bind of `host` at `at`.
    pub fn bind(host: impl Into<PathBuf>, at: impl Into<PathBuf>) -> Self {
        Self::Bind {
            host: host.into(),
            at: at.into(),
            read_only: true,
        }
    }

    /// A file with these contents.
    pub fn file(at: impl Into<PathBuf>, contents: impl Into<Vec<u8>>) -> Self {
        Self::File {
            at: at.into(),
            contents: contents.into(),
        }
    }

    /// A symbolic link.
    pub fn link(at: impl Into<PathBuf>, to: impl Into<PathBuf>) -> Self {
        Self::Link {
            at: at.into(),
            to: to.into(),
        }
    }

    /// An empty directory with these permission bits.
    pub fn dir(at: impl Into<PathBuf>, mode: u32) -> Self {
        Self::Dir {
            at: at.into(),
            mode,
        }
    }

    /// The entry's path in the container.
    pub fn at(&self) -> &Path {
        match self {
            Self::Bind { at, .. }
            | Self::File { at, .. }
            | Self::Link { at, .. }
            | Self::Dir { at, .. } => at,
        }
    }
}

/// A container image. A pod's `command`, `args`, `env`, `securityContext` and `workingDir` override
/// the fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The name as in manifests, for example `local/pilot:dev`.
    pub name: String,
    /// Program and leading arguments; a pod's `command` replaces it, its `args` are appended.
    pub entrypoint: Vec<String>,
    /// Environment variables of every container of this image.
    pub env: Vec<(String, String)>,
    /// User id of the process unless the pod sets one; `None` is root.
    pub user: Option<u32>,
    /// Working directory unless the pod sets one.
    pub workdir: PathBuf,
    /// The files, in the order of their creation.
    pub tree: Vec<TreeEntry>,
}

/// An error finding or adding an image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// There is no image of this name.
    #[error(
        "image {name} is not on this node (available: {known}); add it with --image {name}=DIR[,ENTRYPOINT…]"
    )]
    Unknown { name: String, known: String },
    /// `--image` is not of the form `NAME=DIR[,ENTRYPOINT…]`.
    #[error(
        "--image {given}: expected NAME=DIR[,ENTRYPOINT…], for example myapp:dev=./rootfs,/bin/app,--serve"
    )]
    Syntax { given: String },
    /// `--image` names a directory or file that cannot be read.
    #[error("--image {name}: cannot read {path}")]
    Unreadable {
        name: String,
        path: PathBuf,
        source: std::io::Error,
    },
    /// `--image` names a directory but no program to run in it.
    #[error("--image {name}: {path} is a directory, so name the program to run in it: {name}={path},/path/in/image", path = .path.display())]
    NoEntrypoint { name: String, path: PathBuf },
}

impl Classified for ImageError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Input
    }
}

/// An image reference, parsed by the OCI distribution reference grammar: registry, repository, tag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Reference {
    repository: String,
    tag: Option<String>,
}

impl Reference {
    /// Expands a short name as container runtimes do (`busybox` is `docker.io/library/busybox`). A
    /// digest is dropped: trees have none.
    fn parse(name: &str) -> Self {
        let name = name.split('@').next().unwrap_or(name);
        let slash = name.rfind('/').map_or(0, |at| at + 1);
        let (path, tag) = match name[slash..].rfind(':') {
            Some(colon) => (
                &name[..slash + colon],
                Some(name[slash + colon + 1..].to_owned()),
            ),
            None => (name, None),
        };
        let (registry, rest) = match path.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
                (first, rest)
            }
            _ => ("docker.io", path),
        };
        let registry = if registry == "index.docker.io" {
            "docker.io"
        } else {
            registry
        };
        let library = if registry == "docker.io" && !rest.contains('/') {
            "library/"
        } else {
            ""
        };
        Self {
            repository: format!("{registry}/{library}{rest}"),
            tag,
        }
    }
}

/// The images that a node can start, by name.
#[derive(Debug, Clone, Default)]
pub struct ImageStore {
    images: BTreeMap<Reference, Image>,
}

impl ImageStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an image, replacing one of the same name.
    pub fn insert(&mut self, image: Image) {
        self.images.insert(Reference::parse(&image.name), image);
    }

    /// Makes `alias` another name for the image `name`. Does nothing if there is no such image.
    pub fn alias(&mut self, alias: &str, name: &str) {
        if let Some(image) = self.lookup(name).cloned() {
            self.images.insert(Reference::parse(alias), image);
        }
    }

    /// Finds an image. `docker.io/library/` may be omitted and a digest is ignored. A reference
    /// without a tag matches any tag of its repository, and an image without a tag matches any
    /// requested tag.
    pub fn lookup(&self, name: &str) -> Option<&Image> {
        let expected = Reference::parse(name);
        self.images.get(&expected).or_else(|| {
            let mut same = self
                .images
                .iter()
                .filter(|(have, _)| have.repository == expected.repository);
            same.find(|(have, _)| have.tag.is_none() || expected.tag.is_none())
                .map(|(_, image)| image)
        })
    }

    /// As [`Self::lookup`], with an error that lists the available images.
    ///
    /// # Errors
    /// [`ImageError::Unknown`], whose text serves as the message of a container waiting in
    /// `ErrImageNeverPull`.
    pub fn resolve(&self, name: &str) -> Result<&Image, ImageError> {
        self.lookup(name).ok_or_else(|| ImageError::Unknown {
            name: name.to_owned(),
            known: self.to_string(),
        })
    }

    /// The images, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Image> {
        self.images.values()
    }
}

impl fmt::Display for ImageStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.images.is_empty() {
            return f.write_str("none");
        }
        let names: BTreeSet<&str> = self.iter().map(|image| image.name.as_str()).collect();
        f.write_str(&Vec::from_iter(names).join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn image(name: &str) -> Image {
        let (entrypoint, env, workdir) = (vec!["/x".to_owned()], Vec::new(), PathBuf::from("/"));
        Image {
            name: name.to_owned(),
            entrypoint,
            env,
            user: None,
            workdir,
            tree: Vec::new(),
        }
    }

    #[rstest]
    #[case::as_written("local/pilot:dev", "local/pilot:dev", true)]
    #[case::with_registry("local/pilot:dev", "docker.io/local/pilot:dev", true)]
    #[case::short_name("busybox:1", "docker.io/library/busybox:1", true)]
    #[case::old_registry_name("busybox:1", "index.docker.io/library/busybox:1", true)]
    #[case::digest("local/pilot:dev", "local/pilot:dev@sha256:00", true)]
    #[case::asked_without_tag("local/pilot:dev", "local/pilot", true)]
    #[case::stored_without_tag("app", "app:7", true)]
    #[case::other_tag("local/pilot:dev", "local/pilot:1.31", false)]
    #[case::other_repository("local/pilot:dev", "local/proxyv2:dev", false)]
    #[case::other_registry("local/pilot:dev", "example.test/local/pilot:dev", false)]
    #[case::registry_with_port("localhost:5000/app", "localhost:5000/app:2", true)]
    #[case::port_is_no_tag("localhost:5000/app", "localhost:6000/app", false)]
    fn a_name_finds_its_image(#[case] stored: &str, #[case] asked: &str, #[case] found: bool) {
        let mut store = ImageStore::new();
        store.insert(image(stored));
        assert_eq!(store.lookup(asked).is_some(), found);
    }

    #[test]
    fn an_exact_tag_wins_over_a_tree_without_one() {
        let mut store = ImageStore::new();
        store.insert(image("app"));
        store.insert(image("app:2"));
        assert_eq!(store.lookup("app:2").unwrap().name, "app:2");
        assert_eq!(store.lookup("app:3").unwrap().name, "app");
    }

    #[test]
    fn an_alias_finds_the_same_tree() {
        let mut store = ImageStore::new();
        store.insert(image("local/shell:dev"));
        store.alias("busybox", "local/shell:dev");
        assert_eq!(
            store.lookup("busybox:1.36").unwrap().name,
            "local/shell:dev"
        );
    }

    #[test]
    fn an_unknown_image_names_what_there_is_and_the_way_out() {
        let mut store = ImageStore::new();
        store.insert(image("local/pilot:dev"));
        let answer = store.resolve("nginx:1").unwrap_err().to_string();
        assert!(
            answer.contains("nginx:1")
                && answer.contains("local/pilot:dev")
                && answer.contains("--image"),
            "{answer}"
        );
    }
}
