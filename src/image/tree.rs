//! Applies an image's list of entries in memory, which gives the resulting file at each path.
//!
//! The local node applies the same list with mounts. Here, bound files are only recorded, to be
//! copied later.

use std::{
    collections::{BTreeMap, VecDeque},
    ffi::OsString,
    fs::{self, Metadata},
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::{Component, Path, PathBuf},
};

use super::ArchiveError;
use crate::toolchain::TreeEntry;

/// Number of symbolic links in a path above which it counts as a loop, as in the kernel.
const MAX_LINKS: usize = 40;
/// Name prefix of removals in a layer (OCI image specification, "Whiteouts").
const WHITEOUT: &[u8] = b".wh.";
/// Mode of directories without an entry.
const PARENT: u32 = 0o755;

/// The file at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Dir { mode: u32 },
    File { from: Source, mode: u32 },
    Link { to: PathBuf },
}

/// Where the contents of a file come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    Host(PathBuf),
    Bytes(Vec<u8>),
}

impl Node {
    fn kind(&self) -> &'static str {
        match self {
            Self::Dir { .. } => "a directory",
            Self::File { .. } => "a file",
            Self::Link { .. } => "a link",
        }
    }
}

/// Everything below the image's root, by path without the leading slash. A directory precedes its
/// contents. `image` is its name, for errors.
///
/// # Errors
/// A host directory cannot be read or contains what a layer cannot contain, or entries conflict.
pub(super) fn flatten(
    image: &str,
    entries: &[TreeEntry],
) -> Result<BTreeMap<PathBuf, Node>, ArchiveError> {
    let mut tree = Tree {
        image,
        nodes: BTreeMap::new(),
    };
    for entry in entries {
        tree.add(entry)?;
    }
    Ok(tree.nodes)
}

struct Tree<'a> {
    image: &'a str,
    nodes: BTreeMap<PathBuf, Node>,
}

impl Tree<'_> {
    fn add(&mut self, entry: &TreeEntry) -> Result<(), ArchiveError> {
        match entry {
            TreeEntry::Dir { at, mode } => {
                let at = self.resolve(at)?;
                self.put_dir(at, *mode & 0o7777)
            }
            TreeEntry::File { at, contents } => {
                let at = self.resolve(at)?;
                let from = Source::Bytes(contents.clone());
                self.put_file(at, from, 0o644)
            }
            TreeEntry::Link { at, to } => self.put_link(at, to),
            TreeEntry::Bind { host, at, .. } => self.copy_in(host, at),
        }
    }

    fn put_dir(&mut self, at: PathBuf, mode: u32) -> Result<(), ArchiveError> {
        if at.as_os_str().is_empty() {
            return Ok(()); // the root, which every runtime creates
        }
        self.make_parents(&at)?;
        match self.nodes.get(&at) {
            Some(Node::Dir { .. }) | None => {}
            Some(other) => return Err(self.in_the_way(at, other)),
        }
        self.nodes.insert(at, Node::Dir { mode });
        Ok(())
    }

    fn put_file(&mut self, at: PathBuf, from: Source, mode: u32) -> Result<(), ArchiveError> {
        self.make_parents(&at)?;
        match self.nodes.get(&at) {
            Some(Node::File { .. }) | None => {}
            Some(other) => return Err(self.in_the_way(at, other)),
        }
        self.nodes.insert(at, Node::File { from, mode });
        Ok(())
    }

    /// The last component is not resolved: it becomes the link, and may replace an empty directory.
    fn put_link(&mut self, at: &Path, to: &Path) -> Result<(), ArchiveError> {
        let name = at.file_name().unwrap_or_default();
        let at = self
            .resolve(at.parent().unwrap_or(Path::new("/")))?
            .join(name);
        self.make_parents(&at)?;
        let empty = !self
            .nodes
            .keys()
            .any(|path| *path != at && path.starts_with(&at));
        match self.nodes.get(&at) {
            Some(dir @ Node::Dir { .. }) if !empty => return Err(self.in_the_way(at, dir)),
            _ => {}
        }
        self.nodes.insert(at, Node::Link { to: to.to_owned() });
        Ok(())
    }

    /// Copies a bound file or directory. Like a bind mount, it hides what was there.
    fn copy_in(&mut self, host: &Path, at: &Path) -> Result<(), ArchiveError> {
        let at = self.resolve(at)?;
        let meta = fs::metadata(host).map_err(|source| self.unreadable(host, source))?;
        if !meta.is_dir() {
            return self.copy_file(host, at, &meta);
        }
        self.nodes
            .retain(|path, _| *path == at || !path.starts_with(&at));
        self.put_dir(at.clone(), mode(&meta))?;
        self.copy_children(host, &at)
    }

    fn copy_children(&mut self, host: &Path, at: &Path) -> Result<(), ArchiveError> {
        for child in fs::read_dir(host).map_err(|source| self.unreadable(host, source))? {
            let child = child.map_err(|source| self.unreadable(host, source))?;
            let (path, at) = (child.path(), at.join(child.file_name()));
            let unreadable = |source| self.unreadable(&path, source);
            let meta = child.metadata().map_err(unreadable)?; // does not follow a link
            if child.file_name().as_bytes().starts_with(WHITEOUT) {
                return Err(self.not_for_layers(&path, "a name that layers use for removals"));
            }
            if meta.is_symlink() {
                let to = fs::read_link(&path).map_err(unreadable)?;
                self.nodes.insert(at, Node::Link { to });
            } else if meta.is_dir() {
                self.nodes
                    .insert(at.clone(), Node::Dir { mode: mode(&meta) });
                self.copy_children(&path, &at)?;
            } else {
                self.copy_file(&path, at, &meta)?;
            }
        }
        Ok(())
    }

    fn copy_file(&mut self, host: &Path, at: PathBuf, meta: &Metadata) -> Result<(), ArchiveError> {
        match meta.is_file() {
            true => self.put_file(at, Source::Host(host.to_owned()), mode(meta)),
            false => Err(self.not_for_layers(host, "a socket, pipe or device")),
        }
    }

    fn make_parents(&mut self, at: &Path) -> Result<(), ArchiveError> {
        let parents = at.ancestors().skip(1);
        for parent in parents.filter(|parent| !parent.as_os_str().is_empty()) {
            match self.nodes.get(parent) {
                Some(Node::Dir { .. }) => break, // its parents exist too
                Some(other) => return Err(self.in_the_way(parent.to_owned(), other)),
                None => self
                    .nodes
                    .insert(parent.to_owned(), Node::Dir { mode: PARENT }),
            };
        }
        Ok(())
    }

    /// Resolves `path` in the image through the links added so far.
    fn resolve(&self, path: &Path) -> Result<PathBuf, ArchiveError> {
        let mut rest: VecDeque<OsString> = steps(path).collect();
        let (mut at, mut links) = (PathBuf::new(), 0);
        while let Some(step) = rest.pop_front() {
            match step.as_bytes() {
                b"/" => at = PathBuf::new(),
                b".." => drop(at.pop()),
                _ => at.push(step),
            }
            let Some(Node::Link { to }) = self.nodes.get(&at) else {
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return Err(ArchiveError::Circle {
                    image: self.image.to_owned(),
                    at: path.to_owned(),
                });
            }
            at.pop();
            for step in steps(to).collect::<Vec<_>>().into_iter().rev() {
                rest.push_front(step);
            }
        }
        Ok(at)
    }

    fn unreadable(&self, path: &Path, source: std::io::Error) -> ArchiveError {
        ArchiveError::Unreadable {
            image: self.image.to_owned(),
            path: path.to_owned(),
            source,
        }
    }

    fn not_for_layers(&self, path: &Path, kind: &'static str) -> ArchiveError {
        ArchiveError::NotForLayers {
            image: self.image.to_owned(),
            path: path.to_owned(),
            kind,
        }
    }

    fn in_the_way(&self, at: PathBuf, node: &Node) -> ArchiveError {
        ArchiveError::InTheWay {
            image: self.image.to_owned(),
            at: Path::new("/").join(at),
            kind: node.kind(),
        }
    }
}

fn mode(meta: &Metadata) -> u32 {
    meta.permissions().mode() & 0o7777
}

fn steps(path: &Path) -> impl Iterator<Item = OsString> {
    let kept = path
        .components()
        .filter(|step| !matches!(step, Component::CurDir));
    kept.map(|step| step.as_os_str().to_owned())
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
